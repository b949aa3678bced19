//! What [`harness::world::sandbox::inside`] does, as a program of its own: it is started for every program of a
//! submission, and what the harness is made of besides takes longer to load than all of that.

use harness::world::sandbox::inside;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .filter_map(|word| word.into_string().ok())
        .collect();
    let status = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [inside::INSIDE_ARGUMENT, spec] => inside::main(spec),
        [inside::SOURCES_ARGUMENT] => {
            println!("{}", inside::SOURCES);
            0
        }
        _ => {
            eprintln!("this belongs to `harness`, which starts it; see `harness --help`");
            2
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(4))
}
