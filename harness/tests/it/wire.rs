//! The wire as a witness: what is kept of it, what is told of it, and what is left open when it cannot be watched or not
//! all of it was seen.

use crate::support::{Copy, alone, has, has_capture, has_netns};
use capture::source::file::FileSource;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn scene(copy: &Copy, name: &str) -> PathBuf {
    copy.home
        .path()
        .join("lab-results/latest/scenes")
        .join(name)
}

/// The frames of a file and the comments among them; panics where it is damaged.
fn read(file: &Path) -> (u64, Vec<String>) {
    let mut source = FileSource::open(file).expect("the frames were kept");
    let (mut frames, mut comments) = (0, Vec::new());
    while let Some(frame) = source.next_frame().expect("it is not damaged") {
        frames += 1;
        comments.extend(frame.comment.map(str::to_owned));
    }
    (frames, comments)
}

#[test]
fn frames_are_kept_and_say_which_step_they_belong_to() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("beginner");
    let checked = copy.check(&["ex4"]);
    assert_eq!(checked.trouble(), "");
    assert_eq!(checked.report["isolation"]["capture"], true);
    let evidence = &checked.get("ex4/handshake")["evidence"];
    assert_eq!(evidence["capture"], "scenes/hello-tcp/capture.pcapng");
    assert_eq!(evidence["ladder"], "scenes/hello-tcp/ladder.txt");
    let frames = scene(&copy, "hello-tcp").join("capture.pcapng");
    let (count, comments) = read(&frames);
    assert!(count >= 10, "{count} frames");
    assert!(
        comments
            .iter()
            .any(|comment| comment.contains("ex4/exchange start ada (scenarios/ex4/hello.kdl:")),
        "{comments:?}"
    );
    if !has(&["tshark"]) {
        return;
    }
    let output = Command::new("tshark")
        .arg("-r")
        .arg(&frames)
        .args([
            "-T",
            "fields",
            "-e",
            "frame.interface_name",
            "-e",
            "tcp.flags",
            "-e",
            "frame.comment",
        ])
        .output()
        .expect("tshark can be started");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(lines.lines().count() as u64, count);
    let first = lines.lines().next().expect("there are frames");
    assert!(
        first.starts_with("lo\t0x0002\t") && first.contains("start ada"),
        "{first}"
    );
}

/// A deterministic exchange gives the same ladder each time.
#[test]
fn the_ladder_of_an_exchange_is_as_it_was_reviewed() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    for (fault, scene_name) in [
        ("ex6-client-computes", "calculator-session"),
        ("ex6-malformed-sent", "calculator-malformed"),
    ] {
        let copy = Copy::of(&format!("faulty/{fault}"));
        copy.check(&["ex6"]);
        let ladder =
            fs::read_to_string(scene(&copy, scene_name).join("ladder.txt")).expect("it was drawn");
        // How a session is torn down at the end is the curtain's doing, not the exchange's.
        let ladder: String = ladder
            .lines()
            .filter(|line| !line.contains("FIN") && !line.contains("RST"))
            .map(|line| format!("{line}\n"))
            .collect();
        snapshots::check("ladders", fault, &ladder);
        let picture =
            fs::read_to_string(scene(&copy, scene_name).join("ladder.svg")).expect("it was drawn");
        assert!(
            picture.starts_with("<svg ") && picture.contains("class=\"f\""),
            "{picture}"
        );
    }
}

#[test]
fn without_a_capture_the_wire_is_not_judged_and_the_screens_are() {
    if !has(&["python3", "unshare", "sh"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("beginner");
    let checked = copy.check_without_namespaces(&["ex3/random-gap", "ex4"]);
    assert_eq!(checked.report["isolation"]["capture"], false);
    for id in ["ex4/handshake", "ex4/orderly-close", "ex3/random-gap"] {
        let check = checked.get(id);
        assert_eq!(check["status"], "not_run", "{check}");
        assert_eq!(check["max_points"], 0.0);
        let because = check["because"].as_str().unwrap_or_default();
        assert!(because.starts_with("needs capture: "), "{check}");
        assert!(check["evidence"].get("capture").is_none(), "{check}");
    }
    for id in [
        "ex4/exchange",
        "ex4/server-prints-message",
        "ex4/client-prints-reply",
    ] {
        assert_eq!(checked.get(id)["status"], "pass", "{}", checked.trouble());
    }
    assert_eq!(checked.status, 3);
}

/// Writes a submission of one exercise in Python.
fn submission(exercise: &str, server: &str, client: &str) -> Copy {
    let home = tempfile::TempDir::new().expect("a temporary folder can be made");
    let dir = home.path().join("mine");
    fs::create_dir(&dir).expect("a folder can be made");
    let manifest =
        format!("[{exercise}]\nserver = \"python3 server.py\"\nclient = \"python3 client.py\"\n");
    for (name, text) in [
        ("lab.toml", manifest.as_str()),
        ("server.py", server),
        ("client.py", client),
    ] {
        fs::write(dir.join(name), text).expect("a file can be written");
    }
    Copy { home, dir }
}

#[test]
fn a_flood_is_kept_within_bounds_and_leaves_the_wire_undecided() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let _alone = alone();
    let server = "import socket\ns = socket.create_server(('127.0.0.1', 20002))\nprint('ready', flush=True)\nwhile True:\n    \
                  c, _ = s.accept()\n    print(c.recv(100))\n    c.sendall(b'hello')\n    while c.recv(1 << 20):\n        pass\n    c.close()\n";
    let client = "import socket\nc = socket.create_connection(('127.0.0.1', 20002))\nc.sendall(b'hi')\nprint(c.recv(100))\n\
                  for _ in range(500):\n    c.sendall(b'x' * (1 << 20))\nc.close()\n";
    let copy = submission("ex4", server, client);
    let checked = copy.check(&["ex4"]);
    for id in ["ex4/exchange", "ex4/client-prints-reply"] {
        assert_eq!(checked.get(id)["status"], "pass", "{}", checked.trouble());
    }
    let check = checked.get("ex4/orderly-close");
    assert_eq!(check["status"], "inconclusive", "{check}");
    let because = check["because"].as_str().unwrap_or_default();
    assert!(
        because.contains("the wire was not seen completely"),
        "{check}"
    );
    let folder = scene(&copy, "hello-tcp");
    let kept = folder.join("capture.pcapng");
    let (frames, _) = read(&kept);
    let octets = fs::metadata(&kept).expect("it is there").len();
    assert!(
        frames > 100 && octets < 80 << 20,
        "{frames} frames, {octets} octets"
    );
    let events = fs::metadata(folder.join("events.jsonl"))
        .expect("it is there")
        .len();
    assert!(events < 16 << 20, "{events} octets of events");
    let ladder = fs::read_to_string(folder.join("ladder.txt")).expect("it was drawn");
    assert!(ladder.contains("not everything was seen: "), "{ladder}");
}

/// A socket that is gone before anybody can look it up in the table belongs to the only client there is.
#[test]
fn a_client_with_a_new_socket_for_each_request_is_recognised() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let server = "import datetime, socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 20001))\nwhile True:\n    \
                  d, a = s.recvfrom(100)\n    n = datetime.datetime.now()\n    print(d)\n    \
                  s.sendto(n.strftime('%H:%M:%S' if d == b'SEND_TIME' else '%d.%m.%Y').encode(), a)\n";
    let client = "import itertools, random, socket, time\nfor r in itertools.cycle([b'SEND_TIME', b'SEND_DATE']):\n    \
                  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n        s.sendto(r, ('127.0.0.1', 20001))\n        \
                  d = s.recv(100)\n    print(r, d)\n    time.sleep(random.uniform(1, 2))\n";
    let copy = submission("ex3", server, client);
    let checked = copy.check(&["ex3/both-requests", "ex3/random-gap"]);
    assert_eq!(checked.trouble(), "");
    assert_eq!(
        checked.with_status("pass"),
        ["ex3/both-requests", "ex3/random-gap"]
    );
}

/// What cannot be read is no proof of anything: compressed requests and answers leave the check open.
#[test]
fn a_protocol_that_nobody_can_read_is_left_open() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let server = "import socket, zlib\ns = socket.create_server(('127.0.0.1', 20001))\nwhile True:\n    c, _ = s.accept()\n    \
                  name = zlib.decompress(c.recv(4096)).decode()\n    while True:\n        d = c.recv(4096)\n        if not d: break\n        \
                  q = zlib.decompress(d).decode()\n        if q == 'q': break\n        print(name, q)\n        \
                  try: a = str(eval(q))\n        except Exception as e: a = str(e)\n        c.sendall(zlib.compress(a.encode()))\n    \
                  print('Session ended')\n    c.close()\n";
    let client = "import socket, zlib\nc = socket.create_connection(('127.0.0.1', 20001))\nc.sendall(zlib.compress(input('name: ').encode()))\n\
                  while True:\n    l = input('> ')\n    if l == 'q':\n        c.sendall(zlib.compress(b'q'))\n        break\n    \
                  p = l.split()\n    try:\n        a, b = float(p[0]), float(p[2])\n        assert len(p) == 3 and p[1] in '+-*/'\n    \
                  except Exception:\n        print('bad input')\n        continue\n    c.sendall(zlib.compress(l.encode()))\n    \
                  print(zlib.decompress(c.recv(4096)).decode())\nc.close()\n";
    let copy = submission("ex6", server, client);
    let checked = copy.check(&["ex6"]);
    assert_eq!(
        checked.with_status("fail"),
        Vec::<&str>::new(),
        "{}",
        checked.trouble()
    );
    assert_eq!(
        checked.with_status("inconclusive"),
        ["ex6/name", "ex6/computed-by-server"],
        "{}",
        checked.trouble()
    );
    // That nothing was sent can be seen in any protocol.
    assert_eq!(checked.get("ex6/malformed-not-sent")["status"], "pass");
}

/// What stands between the two programs tells in which one to look.
#[test]
fn a_failure_says_which_program_to_look_at_and_what_it_was_doing() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let cases = [
        (
            "ex1-server-silent",
            "ex1/server-prints-message",
            "server",
            "look at the server",
        ),
        (
            "ex1-client-silent",
            "ex1/client-prints-reply",
            "client",
            "which does not show it",
        ),
        (
            "ex6-minus-swapped",
            "ex6/arithmetic",
            "server",
            "is \"31\\n\"",
        ),
        (
            "ex8-room-of-two",
            "ex8/broadcast",
            "server",
            "sent nothing to Quincy's client",
        ),
    ];
    for (fault, id, side, words) in cases {
        let checked = Copy::of(&format!("faulty/{fault}")).check(&["--reruns", "0"]);
        let check = checked.get(id);
        assert_eq!(check["status"], "fail", "{fault}\n{}", checked.trouble());
        assert_eq!(check["blame"], side, "{fault}\n{}", checked.trouble());
        for field in ["sent", "expected", "got", "because", "hint"] {
            assert!(check[field].is_string(), "{fault} has no {field}");
        }
        let because = check["because"].to_string();
        let because = because.replace("\\\\", "\\").replace("\\\"", "\"");
        assert!(because.contains(words), "{fault}: {because}");
        let waited = because.contains("waited");
        assert_eq!(
            waited,
            because.contains("waiting in "),
            "{fault}: {because}"
        );
    }
    // The client has no answer to show: it never asked for one over the wire.
    let checked = Copy::of("faulty/ex6-client-computes").check(&["--reruns", "0"]);
    assert!(checked.get("ex6/computed-by-server")["blame"].is_null());
}
