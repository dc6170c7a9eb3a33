"""gevent 22.10.2 (python3-gevent): a greenlet for each connection, on libev. Nothing else was tried."""
import socket

from gevent import config

config.loop = "libev-cext"

from gevent.server import StreamServer  # noqa: E402


def serve(connection, _):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := connection.recv(16384):
            connection.sendall(data)
    except OSError:
        pass


server = StreamServer(("127.0.0.1", 0), serve)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
