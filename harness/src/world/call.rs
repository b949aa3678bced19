//! What a thread is doing, as the kernel tells of it (proc(5), `/proc/PID/syscall`).

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It has a processor, or is about to get one.
    Running,
    /// It is blocked in a system call.
    Call(Call),
    /// It is blocked otherwise.
    Blocked,
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Which, as this architecture numbers them.
    pub(super) number: i64,
    /// As they are in the registers.
    pub(super) arguments: [u64; 6],
}

impl Doing {
    /// Of the thread with this folder in /proc; of a process it is the first thread. None where the kernel does not tell.
    pub(super) fn of(folder: &str) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("{folder}/syscall")).ok()?)
    }

    /// `45 0x3 0x7f… 0x400 0x0 0x0 0x0 0x7ffd… 0x7f…`, `running`, or `-1 0x7ffd… 0x7f…`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let number: i64 = match words.next()? {
            "running" => return Some(Doing::Running),
            number => number.parse().ok()?,
        };
        if number < 0 {
            return Some(Doing::Blocked);
        }
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Doing::Call(Call { number, arguments }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_three_ways_of_telling_are_read() {
        assert_eq!(Doing::parse("running"), Some(Doing::Running));
        assert_eq!(Doing::parse("-1 0x7ffd0 0x7f00"), Some(Doing::Blocked));
        let call = Call {
            number: 45,
            arguments: [3, 0x7f10, 0x400, 0, 0, 0],
        };
        assert_eq!(
            Doing::parse("45 0x3 0x7f10 0x400 0x0 0x0 0x0 0x7ffd0 0x7f00"),
            Some(Doing::Call(call))
        );
        assert_eq!(Doing::parse("45 0x3"), None);
        assert_eq!(Doing::parse(""), None);
    }
}
