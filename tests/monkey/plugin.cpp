// A library that never heard of Fern, for the tests to load by themselves.

#include <sys/socket.h>

extern "C" __attribute__((visibility("default"))) ssize_t plugin_recv(int fd, void* buffer,
                                                                      size_t size) {
  return recv(fd, buffer, size, 0);
}
