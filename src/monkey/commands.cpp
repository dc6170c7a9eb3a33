#include "monkey/commands.hpp"

#include "base/proc.hpp"
#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/workers.hpp"
#include "monkey/green.hpp"
#include "monkey/state.hpp"
#include "monkey/tls.hpp"
#include "monkey/wait.hpp"

#include <cerrno>
#include <new>
#include <utility>

namespace fern::monkey {
namespace {

// Turn is a greenlet's turn to spawn, in its hub; without a hub there is no line. All others that
// are ready run before the next one's.
class Turn {
 public:
  Turn() noexcept {
    if (!goes_green(Part::Os)) return;
    queued_ = true;
    if (std::exchange(line_.process, base::forks()) != base::forks()) {  // the parent's
      line_.taken = false;
      line_.first = nullptr;
    }
    if (!std::exchange(line_.taken, true)) return;
    core::Hub& hub = *core::Hub::here();
    greenlet_ = &hub.running();
    (line_.first == nullptr ? line_.first : line_.last->next_) = this;
    line_.last = this;
    ++greenlet_->shields;
    while (!mine_) hub.try_park("a turn to start a process");
    --greenlet_->shields;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (!queued_) return;
    core::Hub::here()->give_way();  // who comes meanwhile stands in line
    line_.taken = line_.first != nullptr;
    if (!line_.taken) return;
    Turn* next = line_.first;
    line_.first = next->next_;
    next->mine_ = true;
    core::Hub::wake(*next->greenlet_, core::Wake::Notified);
  }

 private:
  struct Line {
    unsigned process = 0;  // whose line this is, see base::forks()
    bool taken = false;
    Turn* first = nullptr;
    Turn* last = nullptr;
  };
  static constinit thread_local Line line_here;

  Line& line_ = of_os_thread(line_here);
  Turn* next_ = nullptr;
  core::Greenlet* greenlet_ = nullptr;
  bool queued_ = false;
  bool mine_ = false;
};

constinit thread_local Turn::Line Turn::line_here{};

struct Reaping : io::Job {
  pid_t child = 0;
};

}  // namespace

int spawn_shell(pid_t& child, const char* command, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes) noexcept {
  Turn turn;
  const char* arguments[] = {"sh", "-c", command, nullptr};
  return ::posix_spawn(&child, "/bin/sh", actions, attributes, const_cast<char**>(arguments),
                       environ);
}

int wait_for_command(pid_t child, GivenUp given_up) noexcept {
  int status = 0;
  pid_t ended = 0;
  do {
    ended = goes_green(Part::Os) ? green::waitpid(child, &status, 0)
                                 : native::waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  if (ended == child) return status;
  if (errno == ECANCELED || errno == ETIMEDOUT) {
    int error = errno;
    if (given_up == GivenUp::Killed) ::kill(child, SIGKILL);
    end_unwaited(child);
    errno = error;
  }
  return -1;
}

void end_unwaited(pid_t child) noexcept {
  constexpr std::size_t most = 64;
  static auto* threads = new (std::nothrow) io::Workers(most);
  auto* reaping = new (std::nothrow) Reaping;
  if (threads == nullptr || reaping == nullptr) return;
  reaping->child = child;
  reaping->work = [](io::Job& job) noexcept {
    while (real::waitpid(static_cast<Reaping&>(job).child, nullptr, 0) < 0 && errno == EINTR) {
    }
  };
  reaping->finish = [](io::Job& job) noexcept { delete static_cast<Reaping*>(&job); };
  if (threads->submit(*reaping) != 0) delete reaping;
}

}  // namespace fern::monkey
