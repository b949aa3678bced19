//! Good advice: what costs no points is told when there is a reason, and only then.

use crate::support::{Checked, Copy, has, has_capture, has_netns};
use std::fs;

fn rewrite(copy: &Copy, file: &str, changes: &[(&str, &str)]) {
    let path = copy.dir.join(file);
    let mut text = fs::read_to_string(&path).expect("it can be read");
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from:?}");
        text = text.replace(from, to);
    }
    fs::write(&path, text).expect("it can be written");
}

fn notes(checked: &Checked) -> String {
    checked.report["notes"].to_string()
}

fn advice_on(checked: &Checked, id: &str) -> String {
    let advice = checked.report["advice"].as_array();
    let found = advice.and_then(|all| all.iter().find(|one| one["id"] == id));
    found.map_or_else(String::new, |one| one["status"].to_string())
}

#[test]
fn a_server_that_cannot_come_back_soon_is_told_why() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("faulty/ex4-client-silent");
    let checked = copy.check(&["ex4/handshake"]);
    assert!(
        !notes(&checked).contains("SO_REUSEADDR"),
        "{}",
        notes(&checked)
    );
    let option = "server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n";
    rewrite(&copy, "server.py", &[(option, "")]);
    let checked = copy.check(&["ex4/handshake"]);
    assert!(
        notes(&checked).contains("does not set SO_REUSEADDR"),
        "{}",
        notes(&checked)
    );
}

#[test]
fn a_loop_that_never_waits_is_noticed() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("faulty/ex8-name-kept");
    let checked = copy.check(&["ex8/login", "--reruns", "0"]);
    assert!(!notes(&checked).contains("busy"), "{}", notes(&checked));
    // Whoever has left is asked for news for ever.
    rewrite(
        &copy,
        "server.py",
        &[(
            "import socket\n",
            "import socket\nimport threading as busy\n\n\ndef spin():\n    while True:\n        pass\n\n\nbusy.Thread(target=spin, daemon=True).start()\n",
        )],
    );
    let checked = copy.check(&["ex8/login", "--reruns", "0"]);
    assert_eq!(
        checked.get("ex8/login")["status"],
        "pass",
        "{}",
        checked.trouble()
    );
    assert!(
        notes(&checked).contains("a server kept its processor busy while nothing happened"),
        "{}",
        notes(&checked)
    );
}

#[test]
fn a_login_that_holds_up_everybody_is_advised_on() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("faulty/ex8-name-kept");
    let arguments = ["ex8/broadcast", "ex8/login"];
    let all = copy.check(&["ex8"]);
    assert_eq!(advice_on(&all, "ex8/silent-login"), "\"pass\"");
    let lines =
        "lines = conn.makefile(\"r\", encoding=\"utf-8\", errors=\"replace\", newline=\"\\n\")\n";
    rewrite(
        &copy,
        "server.py",
        &[
            (
                &format!("def serve(conn):\n    {lines}    member = None\n"),
                "def serve(conn, lines, member):\n",
            ),
            (
                "        member = login(conn, lines)\n        if member is None:\n",
                "        if member is None:\n",
            ),
            (
                "    threading.Thread(target=serve, args=(conn,), daemon=True).start()\n",
                &format!(
                    "    {lines}    member = login(conn, lines)\n    threading.Thread(target=serve, args=(conn, lines, member), daemon=True).start()\n"
                ),
            ),
        ],
    );
    let checked = copy.check(&["ex8"]);
    assert_eq!(advice_on(&checked, "ex8/silent-login"), "\"fail\"");
    for id in arguments {
        assert_eq!(checked.get(id)["status"], "pass", "{}", checked.trouble());
    }
}

/// Who has only connected is no member. What newcomers are told when they log in is the room's own affair, and so is who is
/// told that somebody has come.
#[test]
fn a_room_that_can_be_read_without_a_login_is_advised_on_and_one_with_a_history_is_not() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let tells_outsiders = |which: &str| {
        let copy = Copy::of("faulty/ex8-name-kept");
        rewrite(
            &copy,
            "server.py",
            &[
                ("members = []\n", "members = []\noutsiders = []\n"),
                (
                    "    print(text)\n",
                    &format!(
                        "    print(text)\n    for conn in outsiders:\n        if {which}:\n            conn.sendall((text + \"\\n\").encode())\n"
                    ),
                ),
                (
                    "                members.append(member)\n",
                    "                members.append(member)\n                outsiders.remove(conn)\n",
                ),
                (
                    "        member = login(conn, lines)\n",
                    "        with lock:\n            outsiders.append(conn)\n        member = login(conn, lines)\n",
                ),
                (
                    "        if member is not None:\n            with lock:\n",
                    "        with lock:\n            if conn in outsiders:\n                outsiders.remove(conn)\n        if member is not None:\n            with lock:\n",
                ),
            ],
        );
        copy
    };
    let with_history = Copy::of("faulty/ex8-name-kept");
    rewrite(
        &with_history,
        "server.py",
        &[
            ("members = []\n", "members = []\nhistory = []\n"),
            (
                "    print(text)\n",
                "    print(text)\n    history.append(text)\n",
            ),
            (
                "                members.append(member)\n",
                "                for old in history:\n                    member.outbox.put(\"earlier: \" + old)\n                members.append(member)\n",
            ),
        ],
    );
    let cases = [
        ("everything", tells_outsiders("True"), "\"fail\""),
        (
            "notices",
            tells_outsiders("text.startswith(\"*\")"),
            "\"pass\"",
        ),
        ("history", with_history, "\"pass\""),
        ("nothing", Copy::of("faulty/ex8-name-kept"), "\"pass\""),
        // Its clients are logged in as soon as they are started.
        ("argument", Copy::of("asyncio"), "\"pass\""),
    ];
    std::thread::scope(|scope| {
        for (told, copy, status) in &cases {
            scope.spawn(move || {
                let checked = copy.check(&["ex8", "--reruns", "0"]);
                let trouble = checked.trouble();
                assert_eq!(
                    advice_on(&checked, "ex8/members-only"),
                    *status,
                    "{told}\n{}\n{trouble}",
                    checked.report["advice"]
                );
                // It costs nobody anything.
                assert_eq!(checked.status, 0, "{told}\n{trouble}");
            });
        }
    });
}
