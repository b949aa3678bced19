"""The clock as a textbook writes it: one datagram in, the time formatted, one datagram out.

Its first line says where it listens: python3 clock_textbook.py [PORT]
"""

import socket
import sys
import time

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
print(f"Listening on 127.0.0.1:{server.getsockname()[1]}", flush=True)
while True:
    request, client = server.recvfrom(2048)
    if request == b"SEND_DATE":
        server.sendto(time.strftime("%Y-%m-%d").encode(), client)
    elif request == b"SEND_TIME":
        server.sendto(time.strftime("%H:%M:%S").encode(), client)
