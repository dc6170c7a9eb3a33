#pragma once

// Lot is the parking lot: who waits at which address, greenlets of any hub and native threads
// alike. It is to them what futex(2) is to threads, and every lock that the monkey replaces is a
// word in the lock's own memory and this.
//
//   address --hash--> Bucket: SpinLock, waiters in order of arrival, and how many they are
//
// A waiter lives on the waiting stack. Who wakes it takes it out of the bucket, and is the last to
// touch it there: so who was woken needs no lock, and may destroy what it waited for.

#include <fern/deadline.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fern::monkey::lot {

using Word = std::atomic<std::uint32_t>;
constexpr std::uint32_t any = 0xffffffff;

// How a wait treats what ends greenlets. A lock cannot say that it was not got: it waits on. With
// Interrupt handlers of signals without SA_RESTART end it too.
enum class End { Refuse, Interrupt, Ignore };

// wait() waits at the word while it is `expected`, until woken with a bit of `bits`. 0 when woken,
// else an errno: EAGAIN when the word is another, ETIMEDOUT when the limit has passed, EINTR,
// ECANCELED when the greenlet is to end (a Timeout scope that has expired looks the same). From any
// thread; one without a hub, or in a native scope, sleeps natively.
int wait(const Word& word, std::uint32_t expected, const char* what, Deadline limit = {},
         End end = End::Refuse, std::uint32_t bits = any) noexcept;

// wait_if() is wait() for whoever finds that `waits(context)` holds, which is called with the
// bucket of the word locked, and may change what it likes but neither wait nor wake. EAGAIN if not.
int wait_if(const Word& word, bool (*waits)(void* context) noexcept, void* context,
            const char* what, Deadline limit = {}, End end = End::Refuse,
            std::uint32_t bits = any) noexcept;

// wake() wakes so many of those who wait at the word, first come first; returns how many. The word
// may be gone already: only its address counts. Handlers of signals may call it.
int wake(const Word* word, int most, std::uint32_t bits = any) noexcept;

// requeue() wakes the first `most` and lets the next `moved` wait at another word instead; returns
// how many both are. requeue_if() does so while the first word is `expected`, which it looks at
// with both buckets locked: -EAGAIN if not.
int requeue(const Word* from, int most, const Word* to, int moved) noexcept;
int requeue_if(const Word& from, std::uint32_t expected, int most, const Word* to,
               int moved) noexcept;

// waiting() is how many wait in the lot, roughly while they come and go. For tests.
std::size_t waiting() noexcept;

// forked() empties the lot in the child of a fork: those who waited are not there.
void forked() noexcept;

}  // namespace fern::monkey::lot
