#pragma once

// Workers are threads for what cannot be done without blocking one: a queue of jobs, and threads
// that are made while jobs wait, up to a limit, and end after some idle seconds. They have all
// signals blocked. A forked child begins with none, and without what was queued.

#include <fern/config.hpp>

#include <atomic>
#include <cstddef>
#include <exception>

namespace fern::io {

// Job is queued by whoever owns it, who keeps it until finish() has been called.
struct Job {
  Job* next = nullptr;
  void (*work)(Job&) noexcept = nullptr;    // in a thread: may block
  void (*finish)(Job&) noexcept = nullptr;  // then, when that thread counts as idle already: tells
};

class Workers {
 public:
  FERN_INTERNAL explicit Workers(std::size_t most);  // threads at once
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // What is queued still runs; nobody waits for it.
  ~Workers();

  // submit() hands over a job; 0, or an errno and nothing is done when there is no thread and none
  // can be made. From any thread, never blocks for long.
  FERN_INTERNAL int submit(Job& job) noexcept;

  // run() calls call(context) in a thread and parks until it has ended, whatever happens: a kill
  // that comes meanwhile stays pending. Gives the exception that left it. Throws BlockingInHub,
  // and std::system_error when there is no thread. Called by a job of ours it calls at once: the
  // job's thread would wait for another one, and all of them might.
  FERN_INTERNAL std::exception_ptr run(void (*call)(void*), void* context, const char* what);

  // here() asks whether the calling thread is one of these.
  bool here() const noexcept;

  std::size_t threads() const noexcept;  // alive, for tests

 private:
  struct State;
  State& state();

  std::size_t most_;
  std::atomic<State*> state_;
};

// The process's own, for in_thread and for names. Never destroyed.
FERN_INTERNAL Workers& common_workers();
FERN_INTERNAL Workers& resolver_workers();

}  // namespace fern::io
