#pragma once

// Receiving into, and sending from, several buffers at once; for streams of other libraries.

#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <cstddef>

namespace fern {

class Socket;

namespace detail {

struct Part {
  void* data;
  std::size_t size;
};

// Both do one system call's worth and return how much moved. What goes wrong with the network is
// an errno in `error`, 0 for none; time running out and kills are thrown, as by Socket.
FERN_API std::size_t recv_parts(Socket& socket, const Part* parts, std::size_t count,
                                Deadline deadline, int& error);
FERN_API std::size_t send_parts(Socket& socket, const Part* parts, std::size_t count,
                                Deadline deadline, int& error);

}  // namespace detail
}  // namespace fern
