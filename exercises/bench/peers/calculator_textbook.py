"""The calculator as a textbook writes it: a thread for each client, one line in, one line out.

Its first line says where it listens: python3 calculator_textbook.py [PORT]
"""

import operator
import socketserver
import sys

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


class Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        name = self.rfile.readline().decode().strip()
        self.wfile.write(f"hello {name}\n".encode())
        for line in self.rfile:
            text = line.decode().strip()
            if text == "q":
                self.wfile.write(b"goodbye: you said q\n")
                break
            self.wfile.write(f"{answer(text)}\n".encode())


def answer(text):
    try:
        left, operation, right = text.split()
        return f"= {OPERATIONS[operation](float(left), float(right)):.12g}"
    except (ValueError, KeyError, ZeroDivisionError, OverflowError) as error:
        return f"error: {error}"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


with Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Session) as server:
    print(f"Listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
