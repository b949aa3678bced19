//! Two computers and bad networks: what a scenario asks for happens, to programs with their address written into them too,
//! and nothing else does.

use crate::support::{Checked, Copy, has, has_cables};
use serde_json::Value;
use std::fs;

const CLOCK_SERVER: &str = "\
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 20001))
while True:
    data, client = s.recvfrom(1024)
    form = '%H:%M:%S' if data == b'SEND_TIME' else '%Y-%m-%d'
    s.sendto(time.strftime(form).encode(), client)
";

/// A submission made of these files.
fn submission(files: &[(&str, &str)]) -> Copy {
    let copy = Copy::empty("made");
    for (name, text) in files {
        fs::write(copy.dir.join(name), text).expect("a file can be written");
    }
    copy
}

fn evidence(copy: &Copy, scene: &str, file: &str) -> String {
    let scenes = copy.home.path().join("lab-results/latest/scenes");
    fs::read_to_string(scenes.join(scene).join(file)).expect("it was kept")
}

/// What became of frames, in order.
fn fates(copy: &Copy, scene: &str) -> Vec<Value> {
    let events = evidence(copy, scene, "events.jsonl");
    events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"))
        .filter(|event| event["event"] == "meddled")
        .map(|mut event| {
            event["what"]["frame"] = event["frame"].take();
            event["what"].take()
        })
        .collect()
}

/// A clock client with its address written into it that does this when no answer comes.
fn clock_client(when_lost: &str) -> String {
    format!(
        "\
import random, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
{when_lost}
for i in range(20):
    s.sendto(random.choice([b'SEND_TIME', b'SEND_DATE']), ('127.0.0.1', 20001))
    try:
        print(s.recvfrom(1024)[0].decode())
    except socket.timeout:
        print('no answer')
    time.sleep(random.uniform(1.05, 1.95))
"
    )
}

const CLOCK: &str =
    "[ex3]\nserver = \"python3 server.py\"\nclient = \"python3 client.py\"\nport = 20001\n";

#[test]
fn one_lost_answer_stops_only_a_client_that_waits_for_ever() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    for (when_lost, status) in [("", "fail"), ("s.settimeout(2)", "pass")] {
        let copy = submission(&[
            ("lab.toml", CLOCK),
            ("server.py", CLOCK_SERVER),
            ("client.py", &clock_client(when_lost)),
        ]);
        let checked = copy.check(&["ex3/lost-reply"]);
        let check = checked.get("ex3/lost-reply");
        assert_eq!(check["status"], status, "{check:#}");
        assert_eq!(checked.status, 0, "it is advice");
        assert_eq!(
            fates(&copy, "lost-reply"),
            [serde_json::json!({"fate": "dropped", "frame": 4})],
            "the answer to the second request, and nothing else"
        );
        let ladder = evidence(&copy, "lost-reply", "ladder.txt");
        assert_eq!(ladder.matches("(lost)").count(), 1, "{ladder}");
        assert_eq!(copy.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn without_cables_only_clients_that_are_told_where_to_go_meet_a_bad_network() {
    if !has(&["python3", "unshare"]) {
        return;
    }
    let told = CLOCK.replace("client.py", "client.py {host} {port}");
    let client = clock_client("s.settimeout(2)")
        .replace("import random", "import sys, random")
        .replace("('127.0.0.1', 20001)", "(sys.argv[1], int(sys.argv[2]))");
    for (manifest, status) in [(told.as_str(), "pass"), (CLOCK, "not_run")] {
        let copy = submission(&[
            ("lab.toml", manifest),
            ("server.py", CLOCK_SERVER),
            ("client.py", &client),
        ]);
        let checked = copy.check_without_namespaces(&["ex3/lost-reply"]);
        let check = checked.get("ex3/lost-reply");
        assert_eq!(check["status"], status, "{check:#}");
        if status == "pass" {
            let fates = fates(&copy, "lost-reply");
            assert_eq!(fates.len(), 1);
            assert_eq!(fates[0]["fate"], "dropped");
        } else {
            let because = check["because"].as_str().expect("it says why");
            assert!(because.contains("{host} and {port}"), "{because}");
        }
    }
}

fn hello(server: &str, client: &str, rest: &str) -> Copy {
    let manifest = format!(
        "[ex2]\nserver = \"python3 server.py\"\nclient = \"python3 client.py {rest}\nport = 20001\n"
    );
    let server = format!(
        "\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('{server}', 20001))
while True:
    data, peer = s.recvfrom(1024)
    print('client says', data.decode(), flush=True)
    s.sendto(b'hello client', peer)
"
    );
    let client = format!(
        "\
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'hello server', ({client}, 20001))
print('server says', s.recvfrom(1024)[0].decode())
"
    );
    submission(&[
        ("lab.toml", &manifest),
        ("server.py", &server),
        ("client.py", &client),
    ])
}

#[test]
fn on_two_computers_only_an_address_of_the_other_one_reaches_it() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    #[track_caller]
    fn check(copy: &Copy, status: &str, because: &str) {
        let checked = copy.check(&["ex2"]);
        let check = checked.get("ex2/across-hosts");
        assert_eq!(check["status"], status, "{check:#}");
        let said = check["because"].as_str().unwrap_or_default();
        assert!(said.contains(because), "{check:#}");
    }
    check(&hello("0.0.0.0", "sys.argv[1]", "{host}\""), "pass", "");
    check(&hello("", "sys.argv[1]", "{host}\""), "pass", "");
    let written = "\"\naddress = \"10.196.3.4\"";
    check(&hello("10.196.3.4", "'10.196.3.4'", written), "pass", "");
    check(
        &hello("0.0.0.0", "'127.0.0.1'", "\""),
        "fail",
        "calls 127.0.0.1:20001, which is on every computer that computer itself",
    );
    check(
        &hello("127.0.0.1", "sys.argv[1]", "{host}\""),
        "fail",
        "127.0.0.1",
    );
    // Nobody can say whether that is the other computer's address at home.
    check(
        &hello("0.0.0.0", "'10.196.3.4'", "\""),
        "inconclusive",
        "address = \"10.196.3.4\"",
    );
}

/// Plays a scenario of the test's own with the programs of a fixture.
#[track_caller]
fn play(fixture_name: &str, scenario: &str, arguments: &[&str]) -> (Copy, Checked) {
    play_with(scenario, arguments, || Copy::of(fixture_name))
}

#[track_caller]
fn play_with(scenario: &str, arguments: &[&str], make: impl Fn() -> Copy) -> (Copy, Checked) {
    let copy = make();
    let folder = copy.home.path().join("scenarios");
    fs::create_dir(&folder).expect("a folder can be made");
    fs::write(folder.join("own.kdl"), scenario).expect("a file can be written");
    let folder = folder.display().to_string();
    let mut all = vec!["--scenarios", &folder];
    all.extend(arguments);
    let checked = copy.check(&all);
    (copy, checked)
}

#[test]
fn datagrams_are_repeated_and_held_back_as_the_scenario_says() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    let scenario = "scenario own exercise=ex1 {
        start server
        check \"ex1/request-reply\" \"t\" points=1 {
            sheet \"s\"
            hint \"h\"
            needs capture
            start client one
            fault duplicate request=1
            start client two
            fault happens
            fault none
            fault delay reply=1 by=0.4
            start client three
            fault happens
            server is-running
        }
    }";
    let (copy, checked) = play("beginner", scenario, &["ex1"]);
    assert_eq!(checked.trouble(), "");
    let fates: Vec<String> = fates(&copy, "own")
        .iter()
        .map(|fate| format!("{} {}", fate["fate"], fate["frame"]))
        .collect();
    // Two frames of the first client, three of the second: its request was answered twice. Where the second answer
    // found it gone already, its computer said so.
    let said_gone = evidence(&copy, "own", "events.jsonl")
        .matches("\"kind\":\"unreachable\"")
        .count();
    let delayed = format!("\"delayed\" {}", 2 + 3 + said_gone + 2);
    assert_eq!(fates, ["\"duplicated\" 3", &delayed]);
    let ladder = evidence(&copy, "own", "ladder.txt");
    for part in ["(arrived twice)", "(leaves)", "(arrives)"] {
        assert!(ladder.contains(part), "{part} in\n{ladder}");
    }
}

#[test]
fn the_second_of_two_datagrams_arrives_first() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    let scenario = "scenario own exercise=ex1 {
        start server
        check \"ex1/request-reply\" \"t\" points=1 {
            sheet \"s\"
            hint \"h\"
            fault reorder request=1
            start client ada
            fault happens
            server sees \"walnut\" \"kestrel\"
        }
    }";
    let client = "\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'kestrel', ('127.0.0.1', 20001))
s.sendto(b'walnut', ('127.0.0.1', 20001))
";
    let (copy, checked) = play_with(scenario, &["ex1"], || {
        let copy = Copy::of("beginner");
        let client_file = copy.dir.join("ex1/UDP_Client.py");
        fs::write(client_file, client).expect("a file can be written");
        copy
    });
    assert_eq!(checked.trouble(), "");
    let screen = evidence(&copy, "own", "transcript.txt");
    let (second, first) = (screen.find("Client:walnut"), screen.find("Client:kestrel"));
    assert!(second.is_some() && second < first, "{screen}");
}

#[test]
fn the_seed_decides_which_one_of_several_is_struck() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    let scenario = "scenario own exercise=ex1 {
        start server
        check \"ex1/request-reply\" \"t\" points=1 {
            sheet \"s\"
            hint \"h\"
            fault drop request=\"1..4\"
            peer sends \"a\"
            peer sends \"b\"
            peer sends \"c\"
            peer sends \"d\"
            fault happens
            server is-running
        }
    }";
    let struck = |seed: &str| {
        let (copy, checked) = play("beginner", scenario, &["ex1", "--seed", seed]);
        assert_eq!(checked.trouble(), "");
        fates(&copy, "own")
    };
    assert_eq!(struck("7"), struck("7"));
    let several: std::collections::BTreeSet<String> = ["1", "2", "3", "4", "5", "6"]
        .iter()
        .map(|seed| format!("{:?}", struck(seed)))
        .collect();
    assert!(several.len() > 1, "{several:?}");
}

#[test]
fn a_server_is_killed_and_started_again_on_its_port() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    let scenario = "scenario own exercise=ex6 {
        start server
        join ada
        check \"ex6/arithmetic\" \"t\" points=1 {
            sheet \"s\"
            hint \"h\"
            ada types \"20 + 3\"
            ada sees number=23
            restart server
            join bert
            bert types \"30 + 4\"
            bert sees number=34
            server is-running
        }
    }";
    // A beginner's server does not ask for its port all the same (SO_REUSEADDR).
    let (copy, checked) = play("beginner", scenario, &["ex6"]);
    assert_eq!(checked.trouble(), "");
    let transcript = evidence(&copy, "own", "transcript.txt");
    assert_eq!(
        transcript.matches("  server  $ ").count(),
        2,
        "{transcript}"
    );
}

#[test]
fn pieces_and_clumps_are_noticed_only_by_who_takes_one_recv_for_one_message() {
    if !has(&["python3"]) || !has_cables() {
        return;
    }
    let told = |name: &str| {
        let checked = Copy::of(name).check(&["ex6", "ex8"]);
        let advice = checked.report["advice"].as_array().expect("advice");
        let failed = advice.iter().filter(|advice| advice["status"] == "fail");
        let ids: Vec<String> = failed
            .map(|advice| advice["id"].as_str().expect("an id").to_owned())
            .collect();
        (checked.status, ids)
    };
    assert_eq!(told("asyncio"), (0, Vec::new()), "it reads lines");
    let (status, ids) = told("beginner");
    assert_eq!(status, 0, "it costs nothing");
    assert_eq!(ids, ["ex6/segmentation", "ex8/segmentation"]);
}
