//! A flood of datagrams on loopback while `capture live` runs, and how late a single one is shown.

pub(crate) fn flood(_datagrams: u32) -> anyhow::Result<()> {
    println!("to come");
    Ok(())
}
