#include <fern/forking_server.hpp>

#include "base/real.hpp"
#include "core/fault.hpp"
#include "net/fail.hpp"
#include "net/serving.hpp"
#include "net/signals.hpp"

#include <fern/errors.hpp>
#include <fern/selector.hpp>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <vector>

namespace fern {
namespace {

constexpr std::chrono::seconds patience_with_sigterm(1);

// What is buffered would come out twice, or in a child not at all. Not fflush(nullptr), which waits
// for whoever reads from stdin.
void flush_standard_streams() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
  }
  std::fflush(stdout);
}

// fork() with the child's signals as they should be before the first of them can arrive.
pid_t fork_with_default_signals() {
  flush_standard_streams();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = ::fork();
  int error = errno;
  if (child == 0) net::end_signal_handlers();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) net::fail(error, "fern::ForkingServer: fork()");
  return child;
}

// Waits until a child has ended; false if somebody else has reaped it.
bool reap(pid_t child, int& status) {
  struct Descriptor {
    int fd;
    ~Descriptor() {
      if (fd >= 0) real::close(fd);
    }
  } process{real::pidfd_open(child)};
  for (;;) {
    pid_t ended = real::waitpid(child, &status, WNOHANG);
    if (ended != 0 && (ended > 0 || errno != EINTR)) return ended > 0;
    if (process.fd >= 0) {
      wait_readable(process.fd);
    } else {
      sleep(std::chrono::milliseconds(20));  // an old kernel, or no descriptor left
    }
  }
}

}  // namespace

struct ForkingServer::State final : net::Serving {
  State(Socket listener, detail::Handler handler, std::size_t children)
      : Serving("fern::ForkingServer", std::move(listener), Use::Accepts, children),
        handler(std::move(handler)) {}

  detail::Handler handler;
  const pid_t home = ::getpid();
  std::vector<pid_t> children;

  struct Child;
  static void accept_all(const std::shared_ptr<State>& state);
  [[noreturn]] void serve(Socket connection, const Address& peer) noexcept;
  void signal_all(int number) const noexcept {
    for (pid_t child : children) ::kill(child, number);
  }
  void end_children();
};

// What waits for a child, in a greenlet of the parent's.
struct ForkingServer::State::Child {
  std::shared_ptr<State> state;
  net::Permit permit;
  pid_t pid;

  void operator()() {
    int status = 0;
    bool ours = reap(pid, status);
    std::erase(state->children, pid);
    if (!ours || !WIFSIGNALED(status)) return;
    bool asked = !state->running() && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGKILL);
    if (asked) return;
    std::cerr << "fern: a child of the server at " << state->address.to_string()
              << " was ended by signal " << WTERMSIG(status) << " ("
              << ::strsignal(WTERMSIG(status)) << ")\n";
  }
};

void ForkingServer::State::accept_all(const std::shared_ptr<State>& state) {
  for (;;) {
    net::Permit permit(state->places);
    Address peer;
    Socket connection =
        state->persist("accept connections", [&] { return state->socket.accept(peer); });
    state->children.reserve(state->children.size() + 1);
    pid_t pid = state->persist("fork", fork_with_default_signals);
    if (pid == 0) state->serve(std::move(connection), peer);
    state->children.push_back(pid);
    state->handlers.spawn_raw(Child{state, std::move(permit), pid});
    state->take_turns();
  }
}

// In the child. The destructors of what the parent's greenlets held are not run.
void ForkingServer::State::serve(Socket connection, const Address& peer) noexcept {
  socket.close();
  int status = 0;
  try {
    handler(connection, peer);
  } catch (const GreenletExit&) {
  } catch (...) {
    core::report_current("a handler of fern::ForkingServer");
    status = 1;
  }
  connection.close();
  flush_standard_streams();
  ::_exit(status);
}

void ForkingServer::State::end_children() {
  signal_all(SIGTERM);
  if (handlers.waitall(patience_with_sigterm)) return;
  signal_all(SIGKILL);
  handlers.waitall();
}

ForkingServer::ForkingServer(Socket listener, detail::Handler handler,
                             const ForkingOptions& options, std::nullptr_t) {
  net::check_listens(listener, "fern::ForkingServer::ForkingServer()");
  state_ = std::make_shared<State>(std::move(listener), std::move(handler), options.children);
}

ForkingServer::~ForkingServer() { state_->abandon(); }

ForkingServer::State& ForkingServer::checked(const char* what) const {
  if (::getpid() != state_->home) {
    throw GreenletError(std::string(what) + ": it serves in another process");
  }
  return *state_;
}

void ForkingServer::start() {
  checked("fern::ForkingServer::start()").start([state = state_] { State::accept_all(state); });
}

bool ForkingServer::stop(Deadline deadline) {
  auto state = state_;
  return checked("fern::ForkingServer::stop()").stop(deadline, [&] { state->end_children(); });
}

void ForkingServer::serve_forever() {
  start();
  auto state = state_;
  state->wait();
}

Address ForkingServer::address() const { return state_->address; }

bool ForkingServer::running() const noexcept { return state_->running(); }

std::size_t ForkingServer::children() const noexcept { return state_->children.size(); }

}  // namespace fern
