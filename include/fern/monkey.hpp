#pragma once

// The monkey makes blocking code green without changing it: after patch_all() the blocking calls
// of libc that this process makes, in its own code and in every shared library, park the greenlet
// that makes them instead of its thread.
//
//   #include <fern/fern.hpp>
//   #include <fern/monkey.hpp>
//
//   int main() {
//     fern::monkey::patch_all();
//     fern::GreenPool pool(100);
//     for (const char* url : urls) pool.spawn([url] { curl_easy_perform(handle_for(url)); });
//     pool.waitall();
//   }
//
// It is a library of its own, libfern_monkey: link it (pkg-config fern_monkey, which puts it where
// it must be, before libc), or start a program with it in LD_PRELOAD. A wrapped call is the native
// one, at the cost of a load and a branch, while its part is not patched, in a thread that has no
// hub, on a hub's own stack, and inside a native_scope. Otherwise it returns what the native call
// would: result, errno, partial counts, SO_RCVTIMEO, O_NONBLOCK as its owner set it.
//
// An exception must not fly through a C library. So a kill or an expired Timeout ends a wrapped
// wait with -1 and ECANCELED or ETIMEDOUT (a getaddrinfo with EAI_SYSTEM), and every later wrapped
// wait of that greenlet in the same way, until the exception is thrown at the next wait of Fern's
// own. If the function ends first, a kill is its end all the same (killed()), and a Timeout shows
// in expired(); with_timeout throws.
//
// A handler of a signal runs where the signal finds the thread, and all calls in it are native. The
// main greenlet stands for the thread: of the wrapped waits, its own is the one that a handler ends
// with EINTR; sigsuspend and pause end in every greenlet. A signal that sigwait waits for has to be
// blocked in the thread, as POSIX asks. A handler may leave by siglongjmp if the greenlet that
// called sigsetjmp was running.
//
// stdio on pipes, sockets and terminals parks before libc would wait: lines and blocks are put
// together from what has come, scanf parks in the middle of its input, and what does not fit into a
// FILE's buffer is written by us. What no kill ends: a wide scanf that has begun to read. Readers
// of one FILE in several threads do not keep their lines apart.
//
// A listener or terminal may be shared with other processes: where one of them was faster a call is
// called back within some milliseconds. What still blocks the thread: stat, rename and the like,
// getpwnam and its kin (libraries hold locks around them), syslog, warn and err to a full pipe, and
// wide output to one that others fill at the same moment.
//
// Locks of green threads: those that processes share work, but a robust one of these is not freed
// by the end of a green thread. A recursive lock of code that is not wrapped (linked statically, or
// libc's own) knows OS threads alone: it lets all green threads of a hub in. With several hubs
// a call on a FILE that another hub's thread locks at the same moment may block one of them. A
// green thread that calls exec*() without a fork before it passes on the signal mask of its OS
// thread.
//
// What cannot be wrapped: calls that libc makes to itself (the calls that wait inside are wrapped
// as a whole where that is possible), inline system calls, programs linked statically with libc,
// libraries loaded with RTLD_DEEPBIND or dlmopen.

#include <fern/config.hpp>

#include <concepts>
#include <iosfwd>
#include <type_traits>

namespace fern::monkey {

// Part names a group of calls.
enum class Part : unsigned {
  Time = 1,     // sleep, usleep, nanosleep, clock_nanosleep, thrd_sleep
  Sockets = 2,  // connect, accept, recv and send in all their shapes, sendfile
  Select = 4,   // poll, ppoll, select, pselect, epoll_wait and its kin
  Dns = 8,      // getaddrinfo, getnameinfo, gethostbyname and its kin, res_*
  Os = 16,      // read and write on pipes and terminals, waitpid and its kin, system, popen, close;
                // message queues and semaphores of the kernel's
  Files = 32,   // regular files, by worker threads; locks on files; aio_suspend
  Stdio = 64,   // fgets, fread, scanf, printf, fflush, ... on what can be polled
  Signals = 128,  // sigwait and its kin, sigsuspend, pause; EINTR after a handler
  Threads = 256   // pthreads, C11 threads and what they lock: green threads
};

constexpr Part operator|(Part a, Part b) noexcept {
  return static_cast<Part>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Part operator&(Part a, Part b) noexcept {
  return static_cast<Part>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}

// all_parts is every part above but the threads.
constexpr Part all_parts = Part::Time | Part::Sockets | Part::Select | Part::Dns | Part::Os |
                           Part::Files | Part::Stdio | Part::Signals;

// Resolver says who answers a patched getaddrinfo: glibc, in as many threads as there are
// questions, up to 64, which honours nsswitch.conf; or c-ares, which needs no threads, and knows
// /etc/hosts and DNS only. The other look-ups are always glibc's.
enum class Resolver { Threads, CAres };

// Options say what patch_all() does. With Part::Threads, pthread_create makes green threads, in
// `hubs` OS threads in turn, and every lock of pthreads and C11 parks; with `tls` each of them has
// thread_local objects of its own. See `fern run`, which is this for a whole program.
struct Options {
  Part parts = all_parts;
  Resolver resolver = Resolver::Threads;
  unsigned hubs = 1;
  bool tls = false;

  // everything() is all parts and the threads.
  static Options everything() {
    Options options;
    options.parts = all_parts | Part::Threads;
    return options;
  }
};

// patch_all() patches what the options say. Idempotent; what was patched already stays. Any thread
// may call it, at any time; with Part::Threads, main before there is a second thread. Throws
// std::logic_error, with the reason, when libc's calls do not come here, or it is too late for the
// threads, or this machine cannot switch thread pointers, or c-ares is asked for and Fern was built
// without it: nothing is patched then.
FERN_API void patch_all(const Options& options = {});

// patch() patches these parts as well. Throws as patch_all().
FERN_API void patch(Part parts);

// unpatch() makes these parts native again. Calls that are under way end as they began. Threads
// that are green stay so: Part::Threads has no way back.
FERN_API void unpatch(Part parts = all_parts) noexcept;

// is_patched() asks whether all of these parts are.
FERN_API bool is_patched(Part parts) noexcept;

// report() writes which parts are patched, how many calls were green, and which loaded libraries
// do not reach the wrappers. Slow. (gevent's is_module_patched, in words.)
FERN_API void report(std::ostream& out);

namespace detail {
FERN_API void* original_of(void* function);
}

// original() is the native function behind a wrapped one: original<&::recv>()(fd, buffer, size, 0)
// blocks the thread. Throws std::logic_error for what is not wrapped.
template <auto function>
  requires std::is_function_v<std::remove_pointer_t<decltype(function)>>
auto original() {
  return reinterpret_cast<decltype(function)>(
      detail::original_of(reinterpret_cast<void*>(function)));
}

// native_scope makes the calling thread's calls native while it lives. It must not be alive across
// a wait of Fern's own: other greenlets would run natively too.
class FERN_API native_scope {
 public:
  native_scope() noexcept;
  native_scope(const native_scope&) = delete;
  native_scope& operator=(const native_scope&) = delete;
  ~native_scope();
};

}  // namespace fern::monkey
