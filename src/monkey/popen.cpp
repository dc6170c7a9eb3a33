// popen() and pclose(). What popen made green is known here, so pclose() asks here first, in every
// thread.

#include "base/real.hpp"
#include "io/workers.hpp"
#include "monkey/by_worker.hpp"
#include "monkey/commands.hpp"
#include "monkey/descriptor.hpp"
#include "monkey/green.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"

#include <fcntl.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace fern::monkey {
namespace {

constinit Original<int(FILE*)> libc_pclose{"pclose"};

// One stream and its child.
struct Stream {
  FILE* file;
  int fd;
  pid_t child;
  std::unique_ptr<Stream> next;
};

constinit std::mutex streams_mutex;
constinit std::unique_ptr<Stream> streams;  // under the mutex

// A stream that was closed by fclose() may still be in the list when its FILE is another's.
std::unique_ptr<Stream> take(FILE* file) noexcept {
  std::lock_guard lock(streams_mutex);
  std::unique_ptr<Stream>* at = &streams;
  while (*at != nullptr && (*at)->file != file) at = &(*at)->next;
  std::unique_ptr<Stream> taken = std::move(*at);
  if (taken != nullptr) *at = std::move(taken->next);
  return taken;
}

struct Mode {
  bool read = false;
  bool write = false;
  bool close_on_exec = false;
  bool valid = true;

  explicit Mode(const char* text) noexcept {
    for (; *text != '\0'; ++text) {
      read |= *text == 'r';
      write |= *text == 'w';
      close_on_exec |= *text == 'e';
      valid &= *text == 'r' || *text == 'w' || *text == 'e';
    }
    valid &= read != write;
  }
};

class Actions {
 public:
  Actions() noexcept { posix_spawn_file_actions_init(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { posix_spawn_file_actions_destroy(&actions_); }
  posix_spawn_file_actions_t* get() noexcept { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// The child has no stream of an earlier popen(): POSIX has it so, or their readers would wait for
// it, too.
int start(pid_t& child, const char* command, int end, int wanted) noexcept {
  Actions actions;
  if (int error = posix_spawn_file_actions_adddup2(actions.get(), end, wanted); error != 0)
    return error;
  {
    std::lock_guard lock(streams_mutex);
    for (const Stream* each = streams.get(); each != nullptr; each = each->next.get()) {
      if (each->fd == wanted) continue;
      int error = posix_spawn_file_actions_addclose(actions.get(), each->fd);
      if (error != 0) return error;
    }
  }
  return spawn_shell(child, command, actions.get(), nullptr);
}

}  // namespace

namespace green {

FILE* popen(const char* command, const char* mode_text) noexcept {
  Mode mode(mode_text);
  int ends[2];
  if (!mode.valid || ::pipe2(ends, O_CLOEXEC) != 0) {
    if (!mode.valid) errno = EINVAL;
    return nullptr;
  }
  int ours = ends[mode.read ? 0 : 1];
  Descriptor theirs(ends[mode.read ? 1 : 0]);
  std::unique_ptr<Stream> stream(new (std::nothrow) Stream{});
  FILE* file = stream == nullptr ? nullptr : ::fdopen(ours, mode.read ? "r" : "w");
  if (file == nullptr) {
    io::close(ours, false);
    errno = ENOMEM;
    return nullptr;
  }
  pid_t child = 0;
  int error = start(child, command, theirs.get(), mode.read ? 1 : 0);
  if (error != 0) {
    ::fclose(file);
    errno = error;
    return nullptr;
  }
  if (!mode.close_on_exec) real::fcntl(ours, F_SETFD, 0);
  take(file);
  *stream = {file, ours, child, nullptr};
  std::lock_guard lock(streams_mutex);
  stream->next = std::move(streams);
  streams = std::move(stream);
  return file;
}

}  // namespace green

extern "C" FERN_EXPORT int fern_wrapped_pclose(FILE* file) {
  std::unique_ptr<Stream> stream = take(file);
  bool is_green = goes_green(Part::Os);
  if (is_green) green_calls.fetch_add(1, std::memory_order_relaxed);
  if (stream == nullptr) {
    if (!is_green) return libc_pclose(file);
    return by_worker("pclose()", [file] { return libc_pclose(file); });
  }
  ::fclose(file);
  return wait_for_command(stream->child, GivenUp::Left);
}

}  // namespace fern::monkey
