#pragma once

// The same echo server, written after each model of I/O. Each serves so many connections and
// returns when they have ended; a client that resets its connection ends only that one.

#include <fern/socket.hpp>

#include <atomic>

struct Served {
  std::atomic<int> connections{0};
  std::atomic<long> bytes{0};
  std::atomic<int> resets{0};
};

struct Model {
  const char* name;
  void (*serve)(fern::Socket listener, int connections, Served& served);
};

void serve_blocking(fern::Socket listener, int connections, Served& served);
void serve_polling(fern::Socket listener, int connections, Served& served);
void serve_level(fern::Socket listener, int connections, Served& served);
void serve_edge(fern::Socket listener, int connections, Served& served);
void serve_callbacks(fern::Socket listener, int connections, Served& served);
void serve_green(fern::Socket listener, int connections, Served& served);
