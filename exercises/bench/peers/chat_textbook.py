"""The chat room as a textbook writes it: a thread for each member, which sends every line to everybody itself.

Its first line says where it listens: python3 chat_textbook.py [PORT]
"""

import socketserver
import sys
import threading

members = {}
lock = threading.Lock()


def tell(text, but=None):
    """Called with the lock held."""
    for name, member in members.items():
        if name != but:
            try:
                member.sendall(text.encode())
            except OSError:
                pass  # its own thread finds out


class Member(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        name = self.log_in()
        if name is None:
            return
        word = "LOST"
        try:
            for line in self.rfile:
                request = line.decode().rstrip("\n")
                if request == "LEAVE":
                    word = "LEFT"
                    break
                if request.startswith("SAY "):
                    with lock:
                        tell(f"LINE {name}: {request[4:]}\n", but=name)
        except OSError:
            pass
        with lock:
            del members[name]
            tell(f"{word} {len(members)} {name}\n")
        if word == "LEFT":
            self.wfile.write(b"BYE you have left\n")

    def log_in(self):
        for line in self.rfile:
            word, _, name = line.decode().rstrip("\n").partition(" ")
            with lock:
                if word == "LOGIN" and name and name not in members:
                    self.request.sendall(f"WELCOME {name}\n".encode())
                    members[name] = self.request
                    tell(f"JOINED {len(members)} {name}\n")
                    return name
            self.wfile.write(b"REFUSED choose another name\n")
        return None


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


threading.stack_size(256 * 1024)
with Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Member) as server:
    print(f"Listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
