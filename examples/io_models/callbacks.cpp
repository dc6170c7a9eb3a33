// Asynchronous: each call returns at once and names a function to call when it is done. One
// thread; what a connection does is cut into pieces that share a heap object. With libuv.
#include "models.hpp"

#include <uv.h>

#include <stdexcept>
#include <string>

namespace {

struct Server {
  uv_tcp_t handle;
  int left;
  Served* served;
};

struct Connection {
  uv_tcp_t handle;
  uv_write_t write;
  char buffer[4096];
  Served* served;
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle); }
};

void read_more(Connection& connection);

void close(Connection& connection) {
  uv_close(reinterpret_cast<uv_handle_t*>(&connection.handle),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

void on_written(uv_write_t* write, int error) {
  auto& connection = *static_cast<Connection*>(write->data);
  error < 0 ? close(connection) : read_more(connection);
}

void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t*) {
  auto& connection = *static_cast<Connection*>(stream->data);
  if (got == 0) return;
  uv_read_stop(stream);  // the buffer is in use until the answer has gone
  if (got == UV_ECONNRESET) ++connection.served->resets;
  if (got < 0) return close(connection);
  connection.served->bytes += got;
  uv_buf_t data = uv_buf_init(connection.buffer, static_cast<unsigned>(got));
  if (uv_write(&connection.write, stream, &data, 1, on_written) < 0) close(connection);
}

void read_more(Connection& connection) {
  auto give_buffer = [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    auto& its = *static_cast<Connection*>(handle->data);
    *buffer = uv_buf_init(its.buffer, sizeof its.buffer);
  };
  if (uv_read_start(connection.stream(), give_buffer, on_read) < 0) close(connection);
}

void on_connection(uv_stream_t* stream, int) {
  auto& server = *static_cast<Server*>(stream->data);
  auto* connection = new Connection{{}, {}, {}, server.served};
  uv_tcp_init(stream->loop, &connection->handle);
  connection->handle.data = connection->write.data = connection;
  if (uv_accept(stream, connection->stream()) < 0) return close(*connection);
  ++server.served->connections;
  if (--server.left == 0) uv_close(reinterpret_cast<uv_handle_t*>(stream), nullptr);
  read_more(*connection);
}

}  // namespace

void serve_callbacks(fern::Socket listener, int connections, Served& served) {
  Server server{{}, connections, &served};
  uv_tcp_init(uv_default_loop(), &server.handle);
  server.handle.data = &server;
  int error = uv_tcp_open(&server.handle, listener.release());
  auto* stream = reinterpret_cast<uv_stream_t*>(&server.handle);
  if (error == 0) error = uv_listen(stream, 1024, on_connection);
  if (error < 0) throw std::runtime_error(uv_strerror(error));
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
