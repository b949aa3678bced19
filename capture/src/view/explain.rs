//! The teaching notes of `--explain`: short, each with the section of the RFC to read on in.

/// Something worth a note when it happens for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// A SYN: why relative numbers.
    Syn,
    /// A SYN, ACK: why + 1.
    SynAck,
    /// The third segment.
    HandshakeDone,
    /// A segment with PSH.
    Push,
    /// Several messages: a stream has none.
    Stream,
    /// A segment larger than any cable takes.
    BigSegment,
    /// The first FIN.
    Fin,
    /// Both sides closed.
    TimeWait,
    /// A RST that answers a SYN.
    Refused,
    /// Another RST.
    Reset,
    /// A segment sent again.
    Retransmission,
    /// A segment that was overtaken.
    OutOfOrder,
    /// The same acknowledgment again.
    DuplicateAck,
    /// A window of 0.
    ZeroWindow,
    /// A keep-alive.
    KeepAlive,
    /// The capture began late.
    JoinedLate,
    /// A datagram.
    Datagram,
    /// Nobody has the port.
    PortUnreachable,
    /// A length prefix.
    Prefix,
}

impl Lesson {
    /// The note: plain sentences and a source.
    pub const fn text(self) -> &'static str {
        match self {
            Lesson::Syn => {
                "Each side counts its octets from a first number that is hard to guess. Shown here are relative numbers: how \
                 far a number is from that first one. The raw number of this SYN is in `--view segments` and \
                 `--view report`. (RFC 9293 §3.4.1)"
            }
            Lesson::SynAck => {
                "An acknowledgment names the next number its sender expects. A SYN carries no text, but takes one number, so \
                 that it can be acknowledged and repeated like text: therefore + 1. Its own SYN travels in the same \
                 segment. (RFC 9293 §3.4, §3.5)"
            }
            Lesson::HandshakeDone => {
                "Now each side knows that the other has heard its first number: three segments are the fewest that show \
                 that. The two systems did this by themselves; accept() only hands over a connection that is already \
                 open. (RFC 9293 §3.5)"
            }
            Lesson::Push => {
                "PSH: the sender has nothing more to send at the moment, so the receiver should not wait for more. It usually \
                 marks the end of one send(), but TCP promises no such thing. (RFC 9293 §3.9.1.2)"
            }
            Lesson::Stream => {
                "TCP delivers a stream of octets, without any borders in it: two send() may arrive in one recv(), and one \
                 send() in several. Where a message ends is for your protocol to say: a line end, or a length in front. \
                 (RFC 9293 §2.2)"
            }
            Lesson::BigSegment => {
                "No cable takes a segment of this size. The loopback interface is no cable: it allows frames of 64 KiB, so TCP \
                 does not cut; on a network card the card itself cuts after the capture has seen it. On Ethernet 1,460 \
                 octets are usual. (RFC 9293 §3.7.1)"
            }
            Lesson::Fin => {
                "FIN: this side has no more to say. It may still listen; each direction is closed by itself. Like a SYN, a FIN \
                 takes one number. (RFC 9293 §3.6)"
            }
            Lesson::TimeWait => {
                "Who closes first keeps the connection in TIME-WAIT for a while, in case the last ACK is lost. A server that \
                 closes first therefore cannot bind its port again at once, unless it sets SO_REUSEADDR. \
                 (RFC 9293 §3.6.1)"
            }
            Lesson::Refused => {
                "A RST in answer to a SYN: the computer is there, but no program listens on that port. The client's connect() \
                 fails with \"connection refused\". Is the server running, and on this port? (RFC 9293 §3.5.2)"
            }
            Lesson::Reset => {
                "RST: the connection is cut off, and what was under way is lost. It happens when a program ends or closes while \
                 there is text it has not read, or when somebody sends to a connection that does not exist any more. \
                 (RFC 9293 §3.5.2, §3.6.1)"
            }
            Lesson::Retransmission => {
                "No acknowledgment came in time, so the same octets are sent again. The program notices nothing of it but the \
                 delay. (RFC 9293 §3.8.1, RFC 6298)"
            }
            Lesson::OutOfOrder => {
                "Segments may overtake each other on the way. The receiver puts them in order by their numbers before the \
                 program gets them. (RFC 9293 §3.4)"
            }
            Lesson::DuplicateAck => {
                "The same number is asked for again: something after it has arrived, but not that. Three of these in a row tell \
                 the sender to send it again at once. (RFC 5681 §3.2)"
            }
            Lesson::ZeroWindow => {
                "A window of 0: the receiver's program does not read, and its buffer is full. The sender has to wait. \
                 (RFC 9293 §3.8.6.1)"
            }
            Lesson::KeepAlive => {
                "A keep-alive asks whether the peer is still there, with a number that was acknowledged long ago. \
                 (RFC 9293 §3.8.4)"
            }
            Lesson::JoinedLate => {
                "The capture began when this connection was open already, so its handshake is not in it. Start the capture \
                 before the client."
            }
            Lesson::Datagram => {
                "UDP has no handshake, no numbers and no end: each datagram travels alone, arrives whole or not at all, and \
                 nobody is told which. (RFC 768)"
            }
            Lesson::PortUnreachable => {
                "The computer is there, but no program has opened that UDP port, so its system sends this message back. Only a \
                 connected socket's program hears of it, as \"connection refused\". (RFC 792, RFC 1122 §4.1.3.1)"
            }
            Lesson::Prefix => {
                "The length in front tells the receiver how many octets belong to the message: one way to find borders in a \
                 stream that has none."
            }
        }
    }
}

/// Which notes were given already: each is given once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given(u32);

impl Given {
    /// Whether this is the first time.
    pub fn first_time(&mut self, lesson: Lesson) -> bool {
        let bit = 1 << lesson as u32;
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first
    }
}
