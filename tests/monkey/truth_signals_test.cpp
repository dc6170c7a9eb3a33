// The truth about waiting for signals.

#include "monkey/truth.hpp"

#include <csignal>
#include <ctime>
#include <initializer_list>

using namespace fern::truth;

namespace {

sigset_t set_of(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : numbers) sigaddset(&set, number);
  return set;
}

sigset_t all_but(int number) {
  sigset_t set;
  sigfillset(&set);
  sigdelset(&set, number);
  return set;
}

// Signals that this thread blocks for a while. What is left of them at the end is thrown away.
struct Blocked {
  Blocked(std::initializer_list<int> numbers) : set(set_of(numbers)) {
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  ~Blocked() {
    fern::monkey::native_scope native;
    timespec none{};
    while (sigtimedwait(&set, nullptr, &none) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  sigset_t set;

 private:
  sigset_t before_{};
};

void tell(World& world, int number, int value = 0) {
  sigval with{};
  with.sival_int = value;
  pthread_sigqueue(world.thread(), number, with);
}

void wait_for(World& world, const sigset_t& set, const timespec* limit = nullptr) {
  siginfo_t info{};
  int got = world.call("sigtimedwait", [&] { return sigtimedwait(&set, &info, limit); });
  if (got <= 0) return;
  world.note("si_signo", info.si_signo);
  world.note("si_code", info.si_code);
  world.note("si_value", info.si_value.sival_int);
  world.note("si_pid", info.si_pid == getpid());
}

// When it has gone on after a handler glibc leaves EINTR in errno.
void wait_quietly(World& world, const sigset_t* set) {
  int number = 77;
  world.call("sigwait", [&] {
    int before = errno;
    int error = sigwait(set, &number);
    if (error == 0) errno = before;
    return error;
  });
  world.note("number", number);
}

void note_pending(World& world) {
  sigset_t pending;
  sigpending(&pending);
  for (int number : {SIGUSR1, SIGUSR2, SIGRTMIN}) {
    if (sigismember(&pending, number) == 1) world.note("pending", number);
  }
}

const Rows sigwait_rows("Sigwait",
                        {
                            {"what is pending",
                             [](World& world) {
                               Blocked blocked({SIGUSR1, SIGUSR2});
                               tell(world, SIGUSR2);
                               wait_quietly(world, &blocked.set);
                               note_pending(world);
                             }},
                            {"what comes",
                             [](World& world) {
                               Blocked blocked({SIGUSR1, SIGUSR2});
                               auto peer = world.when_waiting([&] { tell(world, SIGUSR1); });
                               wait_quietly(world, &blocked.set);
                             }},
                            {"the one that is meant of two",
                             [](World& world) {
                               Blocked blocked({SIGUSR1, SIGUSR2});
                               sigset_t one = set_of({SIGUSR2});
                               auto peer = world.when_waiting([&] {
                                 tell(world, SIGUSR1);
                                 world.until_waiting();
                                 tell(world, SIGUSR2);
                               });
                               wait_quietly(world, &one);
                               note_pending(world);
                             }},
                            {"goes on after a handler",
                             [](World& world) {
                               for (int flags : {0, SA_RESTART}) {
                                 Blocked blocked({SIGUSR1});
                                 Handles handles(SIGUSR2, flags);
                                 auto peer = world.when_waiting([&] {
                                   tell(world, SIGUSR2);
                                   world.until_waiting();
                                   tell(world, SIGUSR1);
                                 });
                                 wait_quietly(world, &blocked.set);
                                 world.note("handled", Handles::count());
                               }
                             },
                             In::Main},
                            {"nowhere",
                             [](World& world) {
                               Blocked blocked({SIGUSR1});
                               wait_quietly(world, wild<sigset_t>());
                               wait_quietly(world, null<sigset_t>());
                               world.call("sigwaitinfo",
                                          [&] { return sigwaitinfo(wild<sigset_t>(), nullptr); });
                               tell(world, SIGUSR1);
                               timespec none{};
                               world.call("sigtimedwait", [&] {
                                 return sigtimedwait(&blocked.set, wild<siginfo_t>(), &none);
                               });
                               note_pending(world);
                               world.call("sigtimedwait", [&] {
                                 return sigtimedwait(&blocked.set, nullptr, wild<timespec>());
                               });
                             },
                             In::Greenlet, FERN_TRUTH_WILD},
                        });

const Rows sigtimedwait_rows(
    "Sigtimedwait",
    {
        {"what is pending, in its order and with its values",
         [](World& world) {
           Blocked blocked({SIGUSR1, SIGUSR2, SIGRTMIN});
           tell(world, SIGRTMIN, 1);
           tell(world, SIGRTMIN, 2);
           tell(world, SIGUSR2, 3);
           tell(world, SIGUSR1, 4);
           tell(world, SIGUSR1, 5);
           timespec minutes{600, 0};
           for (int i = 0; i < 2; ++i) wait_for(world, blocked.set);
           for (int i = 0; i < 2; ++i) wait_for(world, blocked.set, &minutes);
           note_pending(world);
         }},
        {"what comes",
         [](World& world) {
           Blocked blocked({SIGUSR1, SIGRTMIN});
           timespec minutes{600, 0};
           for (const timespec* limit :
                {static_cast<const timespec*>(nullptr), static_cast<const timespec*>(&minutes)}) {
             auto peer = world.when_waiting([&] { tell(world, SIGRTMIN, 6); });
             wait_for(world, blocked.set, limit);
           }
         }},
        {"sigwaitinfo without information",
         [](World& world) {
           Blocked blocked({SIGUSR1});
           auto peer = world.when_waiting([&] { tell(world, SIGUSR1); });
           world.call("sigwaitinfo", [&] { return sigwaitinfo(&blocked.set, nullptr); });
         }},
        {"with no time",
         [](World& world) {
           Blocked blocked({SIGUSR1});
           timespec none{};
           wait_for(world, blocked.set, &none);
           tell(world, SIGUSR1);
           wait_for(world, blocked.set, &none);
           wait_for(world, blocked.set, &none);
         }},
        {"ends at its limit",
         [](World& world) {
           Blocked blocked({SIGUSR1});
           timespec soon{0, 20'000'000};
           world.waiting_call("sigtimedwait",
                              [&] { return sigtimedwait(&blocked.set, nullptr, &soon); });
           sigset_t nothing = set_of({});
           world.waiting_call("sigtimedwait",
                              [&] { return sigtimedwait(&nothing, nullptr, &soon); });
         }},
        {"with what is no time",
         [](World& world) {
           Blocked blocked({SIGUSR1});
           tell(world, SIGUSR1);
           for (timespec time : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
             wait_for(world, blocked.set, &time);
           }
           note_pending(world);
         }},
        {"any handler ends it",
         [](World& world) {
           timespec minutes{600, 0};
           for (int flags : {0, SA_RESTART}) {
             Blocked blocked({SIGUSR1});
             Handles handles(SIGUSR2, flags);
             for (const timespec* limit :
                  {static_cast<const timespec*>(nullptr), static_cast<const timespec*>(&minutes)}) {
               auto peer = world.when_waiting([&] { tell(world, SIGUSR2); });
               wait_for(world, blocked.set, limit);
             }
             world.note("handled", Handles::count());
           }
         },
         In::Main},
        {"signals that nobody can wait for",
         [](World& world) {
           timespec none{};
           sigset_t set = set_of({SIGKILL, SIGSTOP});
           wait_for(world, set, &none);
         }},
    });

const Rows sigsuspend_rows("Sigsuspend and pause",
                           {
                               {"sigsuspend runs the handler of what is pending",
                                [](World& world) {
                                  Handles handles(SIGUSR1);
                                  Blocked blocked({SIGUSR1});
                                  tell(world, SIGUSR1);
                                  sigset_t mask = all_but(SIGUSR1);
                                  world.call("sigsuspend", [&] { return sigsuspend(&mask); });
                                  world.note("handled", Handles::count());
                                },
                                In::Main},
                               {"sigsuspend runs the handler of what comes, and leaves the mask",
                                [](World& world) {
                                  for (int flags : {0, SA_RESTART}) {
                                    Handles handles(SIGUSR1, flags);
                                    Blocked blocked({SIGUSR1});
                                    sigset_t mask = all_but(SIGUSR1);
                                    auto peer = world.when_waiting([&] { tell(world, SIGUSR1); });
                                    world.call("sigsuspend", [&] { return sigsuspend(&mask); });
                                    world.note("handled", Handles::count());
                                    sigset_t after;
                                    pthread_sigmask(SIG_BLOCK, nullptr, &after);
                                    world.note("SIGUSR1", sigismember(&after, SIGUSR1));
                                    world.note("SIGUSR2", sigismember(&after, SIGUSR2));
                                  }
                                },
                                In::Main},
                               {"sigsuspend takes no notice of what its mask blocks",
                                [](World& world) {
                                  Handles handles(SIGUSR1);
                                  Blocked blocked({SIGUSR1, SIGUSR2});
                                  sigset_t mask = all_but(SIGUSR1);
                                  auto peer = world.when_waiting([&] {
                                    tell(world, SIGUSR2);
                                    world.until_waiting();
                                    tell(world, SIGUSR1);
                                  });
                                  world.call("sigsuspend", [&] { return sigsuspend(&mask); });
                                  note_pending(world);
                                },
                                In::Main},
                               {"what is ignored, or does nothing, ends no sigsuspend",
                                [](World& world) {
                                  Handles handles(SIGUSR1);
                                  Blocked blocked({SIGUSR1, SIGUSR2, SIGURG});
                                  auto before = signal(SIGUSR2, SIG_IGN);
                                  sigset_t mask = set_of({});
                                  auto peer = world.when_waiting([&] {
                                    tell(world, SIGUSR2);
                                    tell(world, SIGURG);
                                    world.until_waiting();
                                    tell(world, SIGUSR1);
                                  });
                                  world.call("sigsuspend", [&] { return sigsuspend(&mask); });
                                  world.note("handled", Handles::count());
                                  signal(SIGUSR2, before);
                                },
                                In::Main},
                               {"sigsuspend with a mask that is nowhere",
                                [](World& world) {
                                  world.call("sigsuspend",
                                             [] { return sigsuspend(null<sigset_t>()); });
                                  world.call("sigsuspend",
                                             [] { return sigsuspend(wild<sigset_t>()); });
                                },
                                In::Greenlet, FERN_TRUTH_WILD},
                               {"any handler ends a pause",
                                [](World& world) {
                                  for (int flags : {0, SA_RESTART}) {
                                    Handles handles(SIGUSR1, flags);
                                    auto peer = world.when_waiting([&] { tell(world, SIGUSR1); });
                                    world.call("pause", [] { return pause(); });
                                    world.note("handled", Handles::count());
                                  }
                                },
                                In::Main},
                               {"what is ignored, or does nothing, ends no pause",
                                [](World& world) {
                                  Handles handles(SIGUSR1);
                                  auto before = signal(SIGUSR2, SIG_IGN);
                                  auto peer = world.when_waiting([&] {
                                    tell(world, SIGUSR2);
                                    tell(world, SIGURG);
                                    world.until_waiting();
                                    tell(world, SIGUSR1);
                                  });
                                  world.call("pause", [] { return pause(); });
                                  signal(SIGUSR2, before);
                                },
                                In::Main},
                           });

}  // namespace
