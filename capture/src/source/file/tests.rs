use super::*;
use proptest::prelude::*;
use std::io;

/// A frame as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    number: u64,
    nanos: u64,
    link: u32,
    wire_len: u32,
    octets: Vec<u8>,
    comment: Option<String>,
}

fn seen(number: u64, nanos: u64, link: u32, octets: &[u8]) -> Seen {
    Seen {
        number,
        nanos,
        link,
        wire_len: octets.len() as u32,
        octets: octets.to_vec(),
        comment: None,
    }
}

/// Hands out a few octets at a time, as a pipe may.
struct Trickle(io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

fn source(file: &[u8]) -> FileSource {
    FileSource::new(Box::new(io::Cursor::new(file.to_vec())))
}

fn read_all(source: &mut FileSource) -> (Vec<Seen>, Option<Damage>) {
    let mut frames = Vec::new();
    loop {
        match source.next_frame() {
            Ok(Some(frame)) => frames.push(Seen {
                number: frame.number,
                nanos: frame.time.nanos(),
                link: frame.link.0,
                wire_len: frame.wire_len,
                octets: frame.octets.to_vec(),
                comment: frame.comment.map(str::to_owned),
            }),
            Ok(None) => return (frames, None),
            Err(damage) => {
                assert!(
                    matches!(source.next_frame(), Ok(None)),
                    "nothing comes after damage"
                );
                return (frames, Some(damage));
            }
        }
    }
}

#[track_caller]
fn frames(file: &[u8]) -> Vec<Seen> {
    let (frames, damage) = read_all(&mut source(file));
    if let Some(damage) = damage {
        panic!("{damage}");
    }
    frames
}

#[track_caller]
fn check_damage(file: &[u8], delivered: usize, offset: u64, said: &str) {
    let (frames, damage) = read_all(&mut source(file));
    let damage = damage.expect("the file is damaged");
    assert_eq!(frames.len(), delivered, "{damage}");
    assert_eq!(damage.offset, offset, "{damage}");
    assert!(damage.to_string().contains(said), "{damage}");
}

/// Writes numbers in one of the two orders.
#[derive(Clone, Copy)]
struct Writer {
    higher_first: bool,
}

const LOWER: Writer = Writer {
    higher_first: false,
};
const HIGHER: Writer = Writer { higher_first: true };

impl Writer {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.higher_first {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn u32s<const N: usize>(self, numbers: [u32; N]) -> Vec<u8> {
        let octets = |number: u32| {
            if self.higher_first {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            }
        };
        numbers.into_iter().flat_map(octets).collect()
    }

    fn pcap_header(self, magic: u32, link: u32) -> Vec<u8> {
        let mut file = self.u32s([magic]);
        file.extend(self.u16(2));
        file.extend(self.u16(4));
        file.extend(self.u32s([0, 0, 65_535, link]));
        file
    }

    fn record(self, seconds: u32, fraction: u32, wire_len: u32, octets: &[u8]) -> Vec<u8> {
        let mut record = self.u32s([seconds, fraction, octets.len() as u32, wire_len]);
        record.extend(octets);
        record
    }

    fn block(self, kind: u32, contents: &[u8]) -> Vec<u8> {
        let padding = contents.len().next_multiple_of(4) - contents.len();
        let len = (12 + contents.len() + padding) as u32;
        let mut block = self.u32s([kind, len]);
        block.extend(contents);
        block.extend(std::iter::repeat_n(0, padding));
        block.extend(self.u32s([len]));
        block
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = Vec::from(self.u16(code));
        option.extend(self.u16(value.len() as u16));
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn section(self, options: &[u8]) -> Vec<u8> {
        let mut contents = self.u32s([0x1a2b_3c4d]);
        contents.extend(self.u16(1));
        contents.extend(self.u16(0));
        contents.extend([0xff; 8]);
        contents.extend(options);
        self.block(0x0a0d_0d0a, &contents)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        let mut contents = Vec::from(self.u16(link));
        contents.extend([0; 2]);
        contents.extend(self.u32s([snaplen]));
        contents.extend(options);
        self.block(1, &contents)
    }

    fn enhanced(self, interface: u32, count: u64, octets: &[u8], options: &[u8]) -> Vec<u8> {
        let len = octets.len() as u32;
        let mut contents = self.u32s([interface, (count >> 32) as u32, count as u32, len, len]);
        contents.extend(octets);
        contents.resize(contents.len().next_multiple_of(4), 0);
        contents.extend(options);
        self.block(6, &contents)
    }

    fn simple(self, wire_len: u32, octets: &[u8]) -> Vec<u8> {
        let mut contents = self.u32s([wire_len]);
        contents.extend(octets);
        self.block(3, &contents)
    }

    fn obsolete(self, interface: u16, count: u64, octets: &[u8]) -> Vec<u8> {
        let mut contents = Vec::from(self.u16(interface));
        contents.extend(self.u16(7));
        let len = octets.len() as u32;
        contents.extend(self.u32s([(count >> 32) as u32, count as u32, len, len + 5]));
        contents.extend(octets);
        self.block(2, &contents)
    }
}

#[test]
fn pcap_is_read_in_both_orders_and_precisions() {
    for (writer, magic, nanos) in [
        (LOWER, 0xa1b2_c3d4, 1_000_000_005_000),
        (HIGHER, 0xa1b2_c3d4, 1_000_000_005_000),
        (LOWER, 0xa1b2_3c4d, 1_000_000_000_005),
        (HIGHER, 0xa1b2_3c4d, 1_000_000_000_005),
    ] {
        let mut file = writer.pcap_header(magic, 0x5000_0001);
        file.extend(writer.record(1_000, 5, 3, b"abc"));
        file.extend(writer.record(1_001, 0, 9, b"de"));
        let mut second = seen(2, 1_001_000_000_000, 1, b"de");
        second.wire_len = 9;
        assert_eq!(frames(&file), [seen(1, nanos, 1, b"abc"), second]);
    }
}

#[test]
fn the_modified_pcap_has_longer_record_headers() {
    let mut file = LOWER.pcap_header(0xa1b2_cd34, 113);
    file.extend(LOWER.u32s([1, 2, 3, 3, 0xffff_ffff, 0xffff_ffff]));
    file.extend(b"abc");
    assert_eq!(frames(&file), [seen(1, 1_000_002_000, 113, b"abc")]);
}

#[test]
fn a_wire_length_that_is_less_than_what_was_kept_is_not_believed() {
    let mut file = LOWER.pcap_header(0xa1b2_c3d4, 1);
    file.extend(LOWER.record(0, 0, 1, b"abc"));
    assert_eq!(frames(&file), [seen(1, 0, 1, b"abc")]);
}

/// Two sections of different order, interfaces of different links and clocks, all kinds of packet blocks.
fn everything() -> (Vec<u8>, Vec<Seen>) {
    let comment = LOWER.option(1, "Größe".as_bytes());
    let mut file = LOWER.section(
        &[
            LOWER.option(2, b"a computer"),
            LOWER.option(4, b"a program"),
            LOWER.option(0, b""),
            LOWER.option(1, b"after the end"),
        ]
        .concat(),
    );
    file.extend(LOWER.interface(1, 0, &LOWER.option(2, b"lo")));
    file.extend(LOWER.interface(113, 0, &LOWER.option(9, &[9])));
    file.extend(LOWER.enhanced(0, 5, b"abc", b""));
    file.extend(LOWER.enhanced(1, 7, b"defg", &comment));
    file.extend(LOWER.block(4, b"names"));
    file.extend(LOWER.block(0x8765, b"nobody knows"));
    file.extend(LOWER.block(0x8765, b""));
    file.extend(LOWER.simple(5, b"hello"));
    let mut options = HIGHER.option(9, &[0x80 | 1]);
    options.extend(HIGHER.option(14, &100_i64.to_be_bytes()));
    file.extend(HIGHER.section(b""));
    file.extend(HIGHER.interface(276, 4, &options));
    file.extend(HIGHER.enhanced(0, 3, b"h", b""));
    file.extend(HIGHER.simple(9, b"ijkl"));
    file.extend(HIGHER.obsolete(0, 4, b"mno"));

    let mut commented = seen(2, 7, 113, b"defg");
    commented.comment = Some("Größe".to_owned());
    let mut cut = seen(5, 101_500_000_000, 276, b"ijkl");
    cut.wire_len = 9;
    let mut obsolete = seen(6, 102_000_000_000, 276, b"mno");
    obsolete.wire_len = 8;
    let expected = vec![
        seen(1, 5_000, 1, b"abc"),
        commented,
        seen(3, 7, 1, b"hello"),
        seen(4, 101_500_000_000, 276, b"h"),
        cut,
        obsolete,
    ];
    (file, expected)
}

#[test]
fn pcapng_is_read_with_all_it_can_hold() {
    let (file, expected) = everything();
    let mut source = source(&file);
    let (frames, damage) = read_all(&mut source);
    assert!(damage.is_none(), "{damage:?}");
    assert_eq!(frames, expected);

    let about: Vec<_> = source
        .about()
        .iter()
        .map(|a| (a.kind, a.text.as_str()))
        .collect();
    assert_eq!(
        about,
        [
            (AboutKind::Hardware, "a computer"),
            (AboutKind::Program, "a program"),
            (AboutKind::Interface, "lo"),
        ]
    );
    let others: Vec<_> = source
        .other_blocks()
        .map(|(kind, count)| (kind.to_string(), count))
        .collect();
    assert_eq!(
        others,
        [
            ("name resolution".to_owned(), 1),
            ("block type 0x00008765".to_owned(), 2)
        ]
    );
}

#[test]
fn it_does_not_matter_in_which_portions_a_file_comes() {
    let (file, expected) = everything();
    for portion in [1, 2, 3, 7, 64] {
        let trickle = Trickle(io::Cursor::new(file.clone()), portion);
        let (frames, damage) = read_all(&mut FileSource::new(Box::new(trickle)));
        assert!(damage.is_none(), "{damage:?}");
        assert_eq!(frames, expected);
    }
}

#[test]
fn a_file_larger_than_the_window_is_read_to_its_end() {
    let mut file = LOWER.pcap_header(0xa1b2_c3d4, 1);
    let longest = vec![b'x'; MAX_FRAME_LEN as usize];
    for number in 0..20 {
        file.extend(LOWER.record(number, 0, MAX_FRAME_LEN, &longest));
        file.extend(LOWER.record(number, 1, 3, b"abc"));
    }
    let frames = frames(&file);
    assert_eq!(frames.len(), 40);
    assert!(
        frames
            .iter()
            .step_by(2)
            .all(|frame| frame.octets == longest)
    );
    assert!(
        frames
            .iter()
            .skip(1)
            .step_by(2)
            .all(|frame| frame.octets == b"abc")
    );
}

#[test]
fn a_block_without_packets_may_be_longer_than_the_window() {
    let mut file = LOWER.section(b"");
    file.extend(LOWER.interface(1, 0, b""));
    file.extend(LOWER.block(10, &vec![0; 3 * window::WINDOW_LEN]));
    file.extend(LOWER.enhanced(0, 0, b"abc", b""));
    assert_eq!(frames(&file), [seen(1, 0, 1, b"abc")]);

    let before = 28 + 20;
    file.truncate(2 * window::WINDOW_LEN);
    let had = file.len() - before;
    let said = format!("3145740 octets are needed, {had} are there");
    check_damage(&file, 0, before as u64, &said);
}

/// However a file is cut, what is whole before the cut is delivered, and the rest is told.
#[track_caller]
fn check_every_cut(file: &[u8], expected: &[Seen], header_len: usize) {
    let mut delivered = 0;
    for len in 0..file.len() {
        let (frames, damage) = read_all(&mut source(&file[..len]));
        assert_eq!(frames, expected[..frames.len()], "cut at {len}");
        assert!(frames.len() >= delivered, "cut at {len}");
        delivered = frames.len();
        let Some(damage) = damage else { continue };
        match damage.problem {
            DamageProblem::CutShort { needed, had, .. } => {
                assert_eq!(damage.offset + had, len as u64, "cut at {len}");
                assert!(needed > had, "cut at {len}");
            }
            DamageProblem::NotACapture(_) => assert!(len < header_len, "cut at {len}"),
            other => panic!("cut at {len}: {other}"),
        }
    }
    assert_eq!(frames(file), expected);
}

#[test]
fn a_file_that_was_cut_short_is_read_up_to_there() {
    let (file, expected) = everything();
    check_every_cut(&file, &expected, 4);

    let mut file = HIGHER.pcap_header(0xa1b2_c3d4, 1);
    file.extend(HIGHER.record(0, 0, 3, b"abc"));
    file.extend(HIGHER.record(0, 0, 2, b"de"));
    check_every_cut(&file, &[seen(1, 0, 1, b"abc"), seen(2, 0, 1, b"de")], 4);
    check_damage(
        &file[..60],
        1,
        43,
        "at octet 43 of the file: the file was cut short in the middle of a packet: \
         18 octets are needed, 17 are there",
    );
}

#[test]
fn lengths_that_cannot_be_are_damage_and_no_reason_to_ask_for_memory() {
    let mut pcap = LOWER.pcap_header(0xa1b2_c3d4, 1);
    pcap.extend(LOWER.record(0, 0, 3, b"abc"));
    let end = pcap.len() as u64;
    pcap.extend(LOWER.u32s([0, 0, MAX_FRAME_LEN + 1, 0]));
    check_damage(&pcap, 1, end, "a packet claims a length of 262145 octets");

    let head = [LOWER.section(b""), LOWER.interface(1, 0, b"")].concat();
    let at = head.len() as u64;
    let with = |block: Vec<u8>| [head.clone(), block].concat();
    check_damage(
        &with(LOWER.u32s([6, 0, 0])),
        0,
        at,
        "the shortest block has 12",
    );
    check_damage(&with(LOWER.u32s([6, 33, 0])), 0, at, "a multiple of 4");
    check_damage(
        &with(LOWER.u32s([6, 0xffff_fffc, 0])),
        0,
        at,
        "a packet claims a length of 4294967292 octets",
    );
    check_damage(
        &with(LOWER.u32s([99, 0xffff_fffc, 0])),
        0,
        at,
        "4294967292 octets are needed, 12 are there",
    );
    // The packet is longer than its block.
    let mut block = LOWER.enhanced(0, 0, b"abc", b"");
    block[20] = 200;
    check_damage(&with(block), 0, at, "its fields contradict each other");
    let mut block = LOWER.obsolete(0, 0, b"abc");
    block[20] = 200;
    check_damage(&with(block), 0, at, "its fields contradict each other");
    let mut block = LOWER.enhanced(0, 0, b"abc", b"");
    *block.last_mut().expect("a block has octets") = 1;
    check_damage(&with(block), 0, at, "36 octets before and 16777252 after");
    check_damage(
        &with(LOWER.enhanced(3, 0, b"abc", b"")),
        0,
        at,
        "interface 3, but only 1 were described",
    );
    check_damage(
        &with(LOWER.block(0x0a0d_0d0a, &[1; 16])),
        0,
        at,
        "its magic number is 0x01010101",
    );
}

#[test]
fn what_nobody_taught_this_program_is_named() {
    let mut file = LOWER.pcap_header(0xa1b2_c3d4, 1);
    file[4] = 9;
    check_damage(&file, 0, 0, "version 9.4 of pcap");
    let mut file = LOWER.section(b"");
    file[12] = 2;
    check_damage(&file, 0, 0, "version 2.0 of pcapng");
    check_damage(b"", 0, 0, "this is not a pcap or pcapng file: it is empty");
    check_damage(
        b"\x1f\x8b\x08\x00\x00",
        0,
        0,
        "gunzip -c FILE | capture read -",
    );
    check_damage(b"hello\n", 0, 0, "plain text");
}

#[test]
fn the_cause_of_a_failed_read_is_told() {
    struct Broken(bool);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("the disk is on fire"));
            }
            let file = LOWER.pcap_header(0xa1b2_c3d4, 1);
            buffer[..file.len()].copy_from_slice(&file);
            Ok(file.len())
        }
    }
    let (_, damage) = read_all(&mut FileSource::new(Box::new(Broken(false))));
    assert_eq!(
        damage.expect("it cannot be read").to_string(),
        "at octet 24 of the file: it cannot be read: the disk is on fire"
    );
}

#[test]
fn a_comment_is_shown_as_far_as_it_is_text() {
    let mut file = LOWER.section(b"");
    file.extend(LOWER.interface(1, 0, b""));
    file.extend(LOWER.enhanced(0, 0, b"abc", &LOWER.option(1, b"good\xffbad")));
    file.extend(LOWER.enhanced(0, 0, b"abc", &LOWER.option(1, b"ends\0")));
    file.extend(LOWER.enhanced(0, 0, b"abc", &LOWER.option(5, b"no comment")));
    let comments: Vec<_> = frames(&file)
        .into_iter()
        .map(|frame| frame.comment)
        .collect();
    assert_eq!(
        comments,
        [Some("good".to_owned()), Some("ends".to_owned()), None]
    );
}

#[test]
fn what_a_file_says_about_itself_is_kept_within_limits() {
    let long = vec![b'x'; 60_000];
    let mut file = LOWER.section(&LOWER.option(1, &long));
    for number in 0..1_000_u32 {
        let name = LOWER.option(2, number.to_string().as_bytes());
        file.extend(LOWER.interface(1, 0, &name));
        file.extend(LOWER.block(1_000 + number, b""));
    }
    let mut source = source(&file);
    let (_, damage) = read_all(&mut source);
    assert!(damage.is_none(), "{damage:?}");
    assert_eq!(source.about().len(), 64);
    assert_eq!(source.about()[0].text.len(), 1_000);
    assert!(source.other_blocks().count() <= 65);
    assert_eq!(
        source.other_blocks().map(|(_, count)| count).sum::<u64>(),
        1_000
    );
}

#[test]
fn no_more_interfaces_are_kept_than_any_computer_has() {
    let mut file = LOWER.section(b"");
    for _ in 0..65_537 {
        file.extend(LOWER.interface(1, 0, b""));
    }
    check_damage(&file, 0, 28 + 65_536 * 20, "more than 65536 interfaces");
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&mut source(&octets));
    }

    #[test]
    fn any_octets_after_a_header_are_read_without_a_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..600),
        small in proptest::collection::vec(0..9_u32, 0..40),
        higher_first in any::<bool>(),
    ) {
        let writer = Writer { higher_first };
        let small: Vec<u8> = small.into_iter().flat_map(|number| writer.u32s([number * 4])).collect();
        for rest in [octets, small] {
            let pcap = [writer.pcap_header(0xa1b2_c3d4, 1), rest.clone()].concat();
            read_all(&mut source(&pcap));
            let pcapng = [writer.section(b""), writer.interface(1, 0, b""), rest.clone()].concat();
            read_all(&mut source(&pcapng));
            for kind in [0x0a0d_0d0a, 1, 2, 3, 6, 77] {
                let block = writer.block(kind, &rest);
                let pcapng = [writer.section(b""), writer.interface(1, 0, b""), block].concat();
                read_all(&mut source(&pcapng));
            }
        }
    }

    #[test]
    fn one_wrong_octet_harms_nothing_before_it(at in any::<prop::sample::Index>(), wrong in 1..=255_u8) {
        let (mut file, expected) = everything();
        let at = at.index(file.len());
        let (before, _) = read_all(&mut source(&file[..at]));
        file[at] ^= wrong;
        let (frames, _) = read_all(&mut source(&file));
        prop_assert!(frames.len() >= before.len());
        prop_assert_eq!(&frames[..before.len()], &expected[..before.len()]);
    }
}
