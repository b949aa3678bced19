#!/bin/sh
# Gets a machine ready to build, run and test the socket lab.
#
#   sh harness/setup.sh            install what is missing, with the system's package manager
#   sh harness/setup.sh --check    only say what is missing (exit status 1 if anything is)
#
# Knows apt-get, dnf, pacman, apk and brew. Does nothing where everything is there, so it may be run
# again and again. Uses sudo only when it is not root and there is something to install. It never
# installs Rust: it says how you do.

set -eu

RUST_NEEDED=1.95

usage() {
    echo "usage: sh harness/setup.sh [--check]"
}

say() {
    printf '%s\n' "$*"
}

complain() {
    printf 'setup: %s\n' "$*" >&2
}

has() {
    command -v "$1" >/dev/null 2>&1
}

check_only=no
case "${1-}" in
'') ;;
--check) check_only=yes ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    complain "unknown argument: $1"
    usage >&2
    exit 2
    ;;
esac
if [ $# -gt 1 ]; then
    usage >&2
    exit 2
fi

package_manager=none
for candidate in apt-get dnf pacman apk brew; do
    if has "$candidate"; then
        package_manager=$candidate
        break
    fi
done

# has_libpcap: libpcap's development files are no program. They are there when the linker finds the library
# under its plain name, or its header is in one of the usual folders.
has_libpcap() {
    if has cc; then
        for file in libpcap.so libpcap.a; do
            case "$(cc -print-file-name=$file 2>/dev/null)" in
            /*) return 0 ;;
            esac
        done
    fi
    for folder in /usr/include /usr/local/include /opt/homebrew/include \
        /Library/Developer/CommandLineTools/SDKs/MacOSX.sdk/usr/include; do
        if [ -e "$folder/pcap/pcap.h" ]; then
            return 0
        fi
    done
    return 1
}

# is_there NAME: whether the program is here, or what goes by that name in this script.
is_there() {
    case "$1" in
    libpcap) has_libpcap ;;
    *) has "$1" ;;
    esac
}

# package NAME: the package of this package manager that brings the program; nothing for the compiler, make
# and libpcap of a Mac, which come from Apple.
package() {
    case "$package_manager:$1" in
    apt-get:cc | apt-get:gcc) echo gcc libc6-dev ;;
    dnf:cc | dnf:gcc) echo gcc glibc-devel ;;
    apk:cc | apk:gcc) echo gcc musl-dev ;;
    brew:cc | brew:gcc | brew:make | brew:libpcap) ;;
    apt-get:libpcap | apk:libpcap) echo libpcap-dev ;;
    dnf:libpcap) echo libpcap-devel ;;
    dnf:tshark | pacman:tshark) echo wireshark-cli ;;
    brew:tshark) echo wireshark ;;
    *:cc) echo gcc ;;
    *:bwrap) echo bubblewrap ;;
    pacman:python3) echo python ;;
    apt-get:javac) echo default-jdk-headless ;;
    dnf:javac) echo java-devel ;;
    pacman:javac) echo jdk-openjdk ;;
    apk:javac) echo openjdk21 ;;
    brew:javac) echo openjdk ;;
    brew:node) echo node ;;
    *:node) echo nodejs ;;
    *) echo "$1" ;;
    esac
}

missing=''
packages=''

# need NAME PURPOSE: notes what has to be installed if it is not there.
need() {
    if is_there "$1"; then
        say "  found    $1 ($2)"
    else
        say "  MISSING  $1 ($2)"
        missing="$missing $1"
        for wanted in $(package "$1"); do
            case " $packages " in
            *" $wanted "*) ;;
            *) packages="$packages $wanted" ;;
            esac
        done
    fi
}

say "Of the system:"
need cc "links every Rust program"
need libpcap "development files: what capture captures with"
need gcc "builds the C fixtures of the harness's tests"
need make "builds the C fixtures of the harness's tests"
need python3 "runs the Python fixtures of the harness's tests"
need node "runs the JavaScript fixtures of the harness's tests"
need perl "runs the Perl fixtures of the harness's tests"
need javac "builds the Java fixtures of the harness's tests"
if [ "$(uname -s)" = Linux ]; then
    need bwrap "the sandbox around the programs that the harness checks"
fi
need tshark "the tests compare what capture shows with Wireshark's own reading"

# rust_is_new_enough VERSION: 1.95.0 against 1.95, number by number.
rust_is_new_enough() {
    major=${1%%.*}
    rest=${1#*.}
    minor=${rest%%.*}
    needed_minor=${RUST_NEEDED#*.}
    [ "$major" -gt "${RUST_NEEDED%%.*}" ] ||
        { [ "$major" -eq "${RUST_NEEDED%%.*}" ] && [ "$minor" -ge "$needed_minor" ]; }
}

rust=missing
say "Rust $RUST_NEEDED or newer:"
if has cargo && has rustc; then
    version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
    case "$version" in
    [0-9]*.[0-9]*)
        if rust_is_new_enough "$version"; then
            rust=found
            say "  found    rustc $version"
        else
            say "  TOO OLD  rustc $version"
        fi
        ;;
    *) say "  MISSING  rustc does not say its version" ;;
    esac
else
    say "  MISSING  cargo, rustc"
fi

# How to get Rust is the same sentence everywhere; it is left to you because rustup changes your shell's set-up.
explain_rust() {
    if has rustup; then
        complain "Rust $RUST_NEEDED or newer is needed; run:  rustup update stable"
    else
        complain "Rust $RUST_NEEDED or newer is needed; get it from https://rustup.rs, which says to run:"
        complain "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
        complain "then open a new terminal, so that cargo is found."
    fi
}

# As words, packages are separated again below: none of their names holds a blank.
install_command() {
    # shellcheck disable=SC2086
    case "$package_manager" in
    # Some packages would ask a question, tshark's among them (whether ordinary users may capture: no).
    apt-get) echo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages ;;
    dnf) echo dnf install -y $packages ;;
    pacman) echo pacman -S --needed --noconfirm $packages ;;
    apk) echo apk add $packages ;;
    brew) echo brew install $packages ;;
    esac
}

status=0
if [ -n "$missing" ] && [ "$package_manager" = brew ]; then
    case " $missing " in
    *" cc "* | *" gcc "* | *" make "* | *" libpcap "*)
        complain "the C compiler, make and libpcap come from Apple; run:  xcode-select --install"
        status=1
        ;;
    esac
fi
if [ -n "$missing" ] && [ -z "$packages" ] && [ "$package_manager" = brew ]; then
    : # nothing that Homebrew has
elif [ -n "$missing" ]; then
    if [ "$package_manager" = none ]; then
        complain "none of apt-get, dnf, pacman, apk, brew is here; please install by hand:$missing"
        status=1
    elif [ "$check_only" = yes ]; then
        complain "missing:$missing; to install:  $(install_command)"
        status=1
    else
        command=$(install_command)
        as_root=''
        # Homebrew refuses to run as root; the others need it.
        if [ "$package_manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
            if has sudo; then
                as_root=sudo
            else
                complain "installing needs root, and there is no sudo; run as root:  $command"
                command=''
                status=1
            fi
        fi
        if [ -n "$command" ]; then
            if [ "$package_manager" = apt-get ]; then
                say "Running: ${as_root:+$as_root }apt-get update"
                $as_root apt-get update || complain "apt-get update failed; trying with the lists at hand"
            fi
            say "Running: ${as_root:+$as_root }$command"
            # shellcheck disable=SC2086 # the command is made of words
            if ! $as_root $command; then
                complain "that failed; its own message is above. To try by hand:  ${as_root:+$as_root }$command"
                status=1
            else
                for wanted in $missing; do
                    if ! is_there "$wanted"; then
                        complain "$wanted is still not found after installing it; is its folder in PATH?"
                        status=1
                    fi
                done
            fi
        fi
    fi
fi

if [ $rust = missing ]; then
    explain_rust
    status=1
fi

# The harness builds programs without a network, the models among them.
if [ $rust = found ] && [ $check_only = no ]; then
    say "Running: cargo fetch --locked"
    if ! cargo fetch --locked --quiet --manifest-path "$(dirname "$0")/../Cargo.toml"; then
        complain "that failed; its own message is above. Without it, harness check exercises cannot build the models"
        status=1
    fi
fi

if [ $status -eq 0 ]; then
    say "Everything is there."
    if ! has cargo-insta; then
        say "Optional, to review changed snapshots:  cargo install cargo-insta --locked"
    fi
fi
exit $status
