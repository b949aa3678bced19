//! The file of `-w`: what was captured, as pcapng.

use crate::frame::Frame;
use crate::source::live::{LiveCapture, SNAPLEN};
use crate::source::write::{InterfaceId, PcapngWriter, Statistics};
use crate::text;
use crate::time::Timestamp;
use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::Path;

/// A file that is there, before it is known what will be captured.
pub(super) struct Keeper {
    name: String,
    file: File,
}

impl Keeper {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = text::safe(path.as_os_str().as_encoded_bytes());
        let file = File::create(path).with_context(|| format!("{name} cannot be written"))?;
        if file.is_terminal() {
            bail!(
                "{name} is a terminal, which would show the octets as they are; write into a file"
            );
        }
        Ok(Keeper { name, file })
    }

    /// Begins with what is known from the start.
    pub(super) fn keep(self, capture: &LiveCapture) -> anyhow::Result<Kept> {
        let Keeper { name, file } = self;
        let program = concat!("capture ", env!("CARGO_PKG_VERSION"));
        let comment = shell_words::join(command_line());
        let begin = || {
            let mut writer = PcapngWriter::new(file, program, Some(&comment))?;
            let interface = writer.interface(capture.interface(), capture.link_type(), SNAPLEN)?;
            writer.flush()?;
            Ok::<_, io::Error>((writer, interface))
        };
        let (writer, interface) = begin().with_context(|| format!("{name} cannot be written"))?;
        Ok(Kept {
            name,
            writer,
            interface,
            frames: 0,
            last: Timestamp::default(),
        })
    }
}

/// The words this program was called with.
pub(super) fn command_line() -> impl Iterator<Item = String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned())
}

/// The file that frames are kept in.
pub(super) struct Kept {
    name: String,
    writer: PcapngWriter<File>,
    interface: InterfaceId,
    frames: u64,
    last: Timestamp,
}

impl Kept {
    /// Keeps a frame.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.frames += 1;
        self.last = self.last.max(frame.time);
        let written = self.writer.frame(self.interface, frame);
        written.map_err(|error| self.failed(&error))
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = self.writer.flush();
        written.map_err(|error| self.failed(&error))
    }

    /// Adds what the kernel dropped, and returns how many frames there are.
    pub(super) fn finish(mut self, dropped: Option<u64>) -> io::Result<u64> {
        let statistics = Statistics {
            delivered: Some(self.frames),
            dropped,
        };
        let written = self
            .writer
            .statistics(self.interface, self.last, &statistics)
            .and_then(|()| self.writer.flush());
        match written {
            Ok(()) => Ok(self.frames),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Named, and of another kind than a closed pipe on standard output, which is no failure.
    fn failed(&self, error: &io::Error) -> io::Error {
        io::Error::other(format!("{} cannot be written: {error}", self.name))
    }
}
