//! Where things are: the screen's areas, and how an entry of the log falls into rows.
//!
//! Pure arithmetic, shared by what draws ([`view`](crate::window::view)) and what scrolls
//! ([`state`](crate::window::state)), so that both mean the same rows.

use std::ops::Range;

use ratatui::layout::Rect;

use crate::window::{log::Entry, text::wrap};

/// A terminal with fewer columns has no room for the member list.
pub const WIDE: u16 = 60;

/// Columns of the member list, the line beside it included.
pub const MEMBERS_WIDTH: u16 = 21;

/// A log with fewer columns shows no times.
const ROOM_FOR_TIME: u16 = 24;

/// Columns of `14:02 `.
const TIME_WIDTH: u16 = 6;

/// Most rows of the input line; longer texts scroll in it.
const MAX_INPUT_ROWS: u16 = 6;

/// The areas of the screen. Those for which there is no room are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Server, name, state of the connection.
    pub title: Rect,
    /// What has been said.
    pub log: Rect,
    /// Who is here.
    pub members: Rect,
    /// The line above the input, with what is new below the screen.
    pub rule: Rect,
    /// What is being typed.
    pub input: Rect,
}

impl Areas {
    /// Divides the screen. `input_rows`: what the input would like to have; `members`: whether the list
    /// is wanted.
    pub fn of(screen: Rect, input_rows: usize, members: bool) -> Self {
        let Rect { width, height, .. } = screen;
        let most = (height / 3).clamp(1, MAX_INPUT_ROWS);
        let input_height = u16::try_from(input_rows)
            .unwrap_or(most)
            .clamp(1, most)
            .min(height);
        let title_height = u16::from(height >= 3);
        let rule_height = u16::from(height >= 4);
        let log_height = height - input_height - title_height - rule_height;
        let members_width = if members && width >= WIDE {
            MEMBERS_WIDTH
        } else {
            0
        };

        let part = |x, y, width, height| Rect {
            x: screen.x + x,
            y: screen.y + y,
            width,
            height,
        };
        let log_width = width - members_width;
        Self {
            title: part(0, 0, width, title_height),
            log: part(0, title_height, log_width, log_height),
            members: part(log_width, title_height, members_width, log_height),
            rule: part(0, title_height + log_height, width, rule_height),
            input: part(0, height - input_height, width, input_height),
        }
    }
}

/// Columns taken by the time in front of an entry.
pub fn time_width(log_width: u16) -> u16 {
    if log_width >= ROOM_FOR_TIME {
        TIME_WIDTH
    } else {
        0
    }
}

/// The rows of an [entry's text](Entry::text) in a log of so many columns, the time not included.
pub fn entry_rows(entry: &Entry, log_width: u16) -> Vec<Range<usize>> {
    let columns = log_width - time_width(log_width);
    wrap(&entry.text().0, usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn areas_lie_in_the_screen_without_overlap_and_fill_it(
            width: u16, height: u16, rows: usize, members: bool,
        ) {
            let screen = Rect { x: 0, y: 0, width, height };
            let areas = Areas::of(screen, rows, members);
            let all = [areas.title, areas.log, areas.members, areas.rule, areas.input];
            let cells: u64 = all.iter().map(|a| u64::from(a.width) * u64::from(a.height)).sum();
            prop_assert_eq!(cells, u64::from(width) * u64::from(height));
            for (n, one) in all.iter().enumerate() {
                prop_assert_eq!(screen.intersection(*one), *one);
                prop_assert!(all[..n].iter().all(|other| one.intersection(*other).is_empty()));
            }
        }
    }

    #[test]
    fn a_narrow_terminal_has_no_member_list() {
        let areas = |width| Areas::of(Rect::new(0, 0, width, 24), 1, true);
        assert_eq!(areas(80).members.width, MEMBERS_WIDTH);
        assert_eq!(areas(59).members.width, 0);
        assert_eq!(areas(80).log, Rect::new(0, 1, 59, 21));
    }
}
