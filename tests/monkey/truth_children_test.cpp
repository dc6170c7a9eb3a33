// The truth about waitpid and its kin.

#include "monkey/child.hpp"
#include "monkey/truth.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <utility>

using fern::testing::Child;
using namespace fern::truth;

namespace {

constexpr const char* keeps_heap = "the thread that looks after children";

// Which child it was is noted as "its", 0 or an error.
void note_who(World& world, std::string_view what, const Child& child, pid_t who) {
  world.note(what, who == child.pid ? "its" : who == 0 ? "nobody" : "none");
}

constexpr int unwritten = 0x77777;

void wait_for(World& world, const Child& child, pid_t pid, int options = 0) {
  int status = unwritten;
  pid_t who = -1;
  world.call("waitpid", [&] {
    who = waitpid(pid, &status, options);
    return who == child.pid ? 1 : static_cast<int>(who);
  });
  note_who(world, "who", child, who);
  world.note("status", status);
}

void note_info(World& world, const Child& child, const siginfo_t& info) {
  world.note("si_signo", info.si_signo);
  if (info.si_signo == 0) return;
  note_who(world, "si_pid", child, info.si_pid);
  world.note("si_uid", info.si_uid);
  world.note("si_code", info.si_code);
  world.note("si_status", info.si_status);
  world.note("si_errno", info.si_errno);
}

void wait_by_id(World& world, const Child& child, idtype_t which, id_t id, int options) {
  siginfo_t info{};
  info.si_signo = 17;
  info.si_pid = 18;
  world.call("waitid", [&] { return waitid(which, id, &info, options); });
  note_info(world, child, info);
}

const Rows waitpid_rows(
    "Waitpid",
    {
        {"a child that has ended",
         [](World& world) {
           Child child(7);
           child.become_zombie();
           wait_for(world, child, child.pid);
           wait_for(world, child, child.pid);
         }},
        {"a child that ends",
         [](World& world) {
           Child child(255);
           auto peer = world.when_waiting([&] { child.end(); });
           wait_for(world, child, child.pid);
         }},
        {"a child that is killed",
         [](World& world) {
           for (int signal : {SIGKILL, SIGTERM, SIGUSR1}) {
             Child child;
             auto peer = world.when_waiting([&] { kill(child.pid, signal); });
             wait_for(world, child, child.pid);
           }
         }},
        {"any child",
         [](World& world) {
           Child child(3);
           auto peer = world.when_waiting([&] { child.end(); });
           wait_for(world, child, -1);
         }},
        {"the one that ends of two",
         [](World& world) {
           Child first(1);
           Child second(2);
           auto peer = world.when_waiting([&] { second.end(); });
           wait_for(world, second, -1);
           wait_for(world, first, -1, WNOHANG);
         }},
        {"one of a process group",
         [](World& world) {
           Child other(1);
           Child child(4, 0);
           other.become_zombie();
           {
             auto peer = world.when_waiting([&] { child.end(); });
             wait_for(world, child, -child.pid);
           }
           wait_for(world, child, -child.pid);
           wait_for(world, other, 0);
         }},
        {"a group that is not there, and a child that is not ours",
         [](World& world) {
           Child child;
           for (pid_t pid : {-0x7ffffff, 0x7ffffff, getpid(), 1}) wait_for(world, child, pid);
         }},
        {"without any child",
         [](World& world) {
           int status = unwritten;
           for (pid_t pid : {-1, 0, 1}) {
             world.call("waitpid", [&] { return waitpid(pid, &status, 0); });
             world.call("waitpid", [&] { return waitpid(pid, &status, WNOHANG); });
           }
           world.call("wait", [&] { return wait(&status); });
           world.note("status", status);
         }},
        {"nobody below all numbers",
         [](World& world) {
           Child child;
           wait_for(world, child, static_cast<pid_t>(1U << 31));
         }},
        {"WNOHANG before and after",
         [](World& world) {
           Child child(9);
           wait_for(world, child, child.pid, WNOHANG);
           wait_for(world, child, -1, WNOHANG);
           child.become_zombie();
           wait_for(world, child, child.pid, WNOHANG);
           wait_for(world, child, child.pid, WNOHANG);
         }},
        {"WUNTRACED and WCONTINUED",
         [](World& world) {
           Child child;
           {
             auto peer = world.when_waiting([&] { kill(child.pid, SIGSTOP); });
             wait_for(world, child, child.pid, WUNTRACED);
           }
           wait_for(world, child, child.pid, WUNTRACED | WNOHANG);
           {
             auto peer = world.when_waiting([&] { kill(child.pid, SIGCONT); });
             wait_for(world, child, child.pid, WCONTINUED);
           }
           wait_for(world, child, child.pid, WCONTINUED | WNOHANG);
           child.become(SIGSTOP, WSTOPPED);
           wait_for(world, child, -1, WUNTRACED | WCONTINUED);
           child.become(SIGCONT, WCONTINUED);
           wait_for(world, child, -1, WUNTRACED | WCONTINUED);
           auto peer = world.when_waiting([&] { kill(child.pid, SIGKILL); });
           wait_for(world, child, -1, WUNTRACED | WCONTINUED);
         }},
        {"a stop without WUNTRACED is not told",
         [](World& world) {
           Child child(6);
           child.become(SIGSTOP, WSTOPPED);
           wait_for(world, child, child.pid, WNOHANG);
           auto peer = world.when_waiting([&] {
             kill(child.pid, SIGCONT);
             world.until_waiting();
             child.end();
           });
           wait_for(world, child, child.pid);
         }},
        {"options for the children of clone",
         [](World& world) {
           Child child(5);
           child.become_zombie();
           wait_for(world, child, child.pid, __WCLONE);
           wait_for(world, child, child.pid, __WALL | __WNOTHREAD);
         }},
        {"options that nobody knows",
         [](World& world) {
           Child child;
           child.become_zombie();
           for (int options : {1 << 20, WEXITED, WNOWAIT, WEXITED | WNOHANG}) {
             wait_for(world, child, child.pid, options);
           }
         }},
        {"no room for the status",
         [](World& world) {
           Child child(5);
           auto peer = world.when_waiting([&] { child.end(); });
           world.call("waitpid", [&] { return waitpid(child.pid, nullptr, 0) == child.pid; });
         }},
        {"a status that is nowhere",
         [](World& world) {
           Child child(5);
           child.become_zombie();
           world.call("waitpid", [&] { return waitpid(child.pid, wild<int>(), 0); });
           wait_for(world, child, child.pid);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"where children are ignored the wait ends with the last",
         [](World& world) {
           auto before = signal(SIGCHLD, SIG_IGN);
           {
             Child child;
             auto peer = world.when_waiting([&] { child.end(); });
             wait_for(world, child, child.pid);
           }
           signal(SIGCHLD, before);
         }},
        {"a handler ends the wait",
         [](World& world) {
           for (int flags : {0, SA_RESTART}) {
             Handles handles(SIGUSR1, flags);
             Child child(5);
             auto peer = world.when_waiting([&] {
               pthread_kill(world.thread(), SIGUSR1);
               if (flags == 0) return;
               world.until_waiting();
               child.end();
             });
             wait_for(world, child, flags == 0 ? child.pid : -1);
             world.note("handled", Handles::count());
           }
         },
         In::Main},
        {"the child's own SIGCHLD does not end its wait",
         [](World& world) {
           Handles handles(SIGCHLD);
           Child child(5);
           auto peer = world.when_waiting([&] { child.end(); });
           wait_for(world, child, child.pid);
         },
         In::Main},
    },
    keeps_heap);

const Rows wait_rows(
    "Wait, wait3 and wait4",
    {
        {"wait for any child",
         [](World& world) {
           for (bool asks : {true, false}) {
             Child child(11);
             auto peer = world.when_waiting([&] { child.end(); });
             int status = unwritten;
             world.call("wait", [&] { return wait(asks ? &status : nullptr) == child.pid; });
             world.note("status", status);
           }
         }},
        {"wait3 and wait4 say what the child has used",
         [](World& world) {
           for (bool four : {false, true}) {
             Child child(12);
             auto peer = world.when_waiting([&] { child.end(); });
             int status = unwritten;
             rusage usage{};
             usage.ru_maxrss = usage.ru_nsignals = -1;
             world.call("wait", [&] {
               return (four ? wait4(child.pid, &status, 0, &usage) : wait3(&status, 0, &usage)) ==
                      child.pid;
             });
             world.note("status", status);
             world.note("ru_maxrss", usage.ru_maxrss > 0);
             world.note("ru_nsignals", usage.ru_nsignals);
           }
         }},
        {"wait4 with nothing to tell",
         [](World& world) {
           Child child(13);
           int status = unwritten;
           rusage usage{};
           usage.ru_nsignals = 77;
           world.call("wait4", [&] { return wait4(child.pid, &status, WNOHANG, &usage); });
           world.call("wait3", [&] { return wait3(&status, WNOHANG, &usage); });
           world.note("status", status);
           world.note("usage", usage.ru_nsignals);
           child.become_zombie();
           world.call("wait4", [&] { return wait4(child.pid, nullptr, 0, nullptr) == child.pid; });
           world.call("wait4", [&] { return wait4(child.pid, &status, 0, &usage); });
           world.call("wait3", [&] { return wait3(&status, 0, &usage); });
           world.call("wait4", [&] { return wait4(child.pid, &status, 1 << 20, &usage); });
         }},
        {"usage that is nowhere",
         [](World& world) {
           Child child(5);
           child.become_zombie();
           world.call("wait4", [&] { return wait4(child.pid, nullptr, 0, wild<rusage>()); });
           wait_for(world, child, child.pid);
         },
         In::Greenlet, FERN_TRUTH_WILD},
    },
    keeps_heap);

const Rows waitid_rows(
    "Waitid",
    {
        {"a child, any child, and one of a group",
         [](World& world) {
           for (idtype_t which : {P_PID, P_ALL, P_PGID}) {
             Child child(14, 0);
             auto peer = world.when_waiting([&] { child.end(); });
             wait_by_id(world, child, which, child.id(), WEXITED);
           }
         }},
        {"a child by its descriptor",
         [](World& world) {
           Child child(15);
           int fd = world.own(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(fd), WEXITED | WNOHANG);
           auto peer = world.when_waiting([&] { child.end(); });
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(fd), WEXITED);
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(fd), WEXITED);
         }},
        {"a child by a descriptor that is non-blocking",
         [](World& world) {
           Child child(15);
           int fd = world.own(static_cast<int>(syscall(SYS_pidfd_open, child.pid, O_NONBLOCK)));
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(fd), WEXITED);
           child.become_zombie();
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(fd), WEXITED);
         }},
        {"what a signal did",
         [](World& world) {
           Child child;
           for (auto [signal, event] :
                {std::pair(SIGSTOP, WSTOPPED), std::pair(SIGCONT, WCONTINUED),
                 std::pair(SIGKILL, WEXITED)}) {
             auto peer = world.when_waiting([&, sent = signal] { kill(child.pid, sent); });
             wait_by_id(world, child, P_PID, child.id(), event);
           }
         }},
        {"WNOWAIT leaves it to be waited for again",
         [](World& world) {
           Child child(16);
           {
             auto peer = world.when_waiting([&] { child.end(); });
             wait_by_id(world, child, P_PID, child.id(), WEXITED | WNOWAIT);
           }
           wait_by_id(world, child, P_ALL, 0, WEXITED | WNOWAIT);
           wait_by_id(world, child, P_PID, child.id(), WEXITED);
           wait_by_id(world, child, P_PID, child.id(), WEXITED);
         }},
        {"WNOHANG with nothing to tell",
         [](World& world) {
           Child child(17);
           wait_by_id(world, child, P_PID, child.id(), WEXITED | WNOHANG);
           wait_by_id(world, child, P_ALL, 0, WEXITED | WSTOPPED | WCONTINUED | WNOHANG);
         }},
        {"no information",
         [](World& world) {
           Child child(18);
           auto peer = world.when_waiting([&] { child.end(); });
           world.call("waitid", [&] { return waitid(P_PID, child.id(), nullptr, WEXITED); });
           world.call("waitid", [&] { return waitid(P_PID, child.id(), nullptr, WEXITED); });
         }},
        {"information that is nowhere",
         [](World& world) {
           Child child(18);
           child.become_zombie();
           world.call("waitid",
                      [&] { return waitid(P_PID, child.id(), wild<siginfo_t>(), WEXITED); });
           wait_for(world, child, child.pid);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"what does not do",
         [](World& world) {
           Child child;
           child.become_zombie();
           for (int options : {0, WNOHANG, WNOWAIT, WEXITED | 1 << 20}) {
             wait_by_id(world, child, P_PID, child.id(), options);
           }
           // To a sanitizer no such value can be.
           if (FERN_TRUTH_WILD) {
             wait_by_id(world, child, static_cast<idtype_t>(77), child.id(), WEXITED);
           }
           wait_by_id(world, child, P_PID, 0, WEXITED);
           wait_by_id(world, child, P_PID, static_cast<id_t>(-5), WEXITED);
           wait_by_id(world, child, P_PGID, static_cast<id_t>(-5), WEXITED);
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(-5), WEXITED);
           wait_by_id(world, child, P_PIDFD, static_cast<id_t>(world.closed_fd()), WEXITED);
           wait_by_id(world, child, P_PIDFD, STDERR_FILENO, WEXITED);
           wait_by_id(world, child, P_PID, 1, WEXITED);
         }},
        {"without any child",
         [](World& world) {
           siginfo_t info{};
           for (int options : {WEXITED, WEXITED | WNOHANG}) {
             world.call("waitid", [&] { return waitid(P_ALL, 0, &info, options); });
           }
         }},
        {"a handler ends the wait",
         [](World& world) {
           Handles handles(SIGUSR1);
           Child child;
           for (idtype_t which : {P_PID, P_ALL}) {
             auto peer = world.when_waiting([&] { pthread_kill(world.thread(), SIGUSR1); });
             wait_by_id(world, child, which, child.id(), WEXITED);
             world.note("handled", Handles::count());
           }
         },
         In::Main},
    },
    keeps_heap);

}  // namespace
