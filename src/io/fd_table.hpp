#pragma once

// FdTable is a hub's table of who waits for which descriptor.
//
// A descriptor that Fern owns (FdSlot says so) has one watch in the hub's loop: armed at its first
// wait and left armed, since arming costs more than reading. It is disarmed when it fires and
// nobody waits in that direction. Any other descriptor
// stands in the PollSet for as long as the wait lasts, armed, and afterwards asleep; its flags are
// never touched.
//
//   io::recv ... FdWait on the waiting stack --linked in--> Entry: readers, writers, pollers
//                                                             |
//   Loop (owned)  ---readiness---> wakes readers, writers  <--+
//   PollSet (not) ---readiness---> wakes pollers           <--+
//
// Everybody in the direction that fired is woken, in order, tries again, and keeps his place when
// somebody was faster. Only the hub's thread touches its table; close() tells the other hubs.

#include "core/hub.hpp"
#include "io/fd_slot.hpp"
#include "io/poll_set.hpp"

#include <fern/deadline.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fern::io {

enum class Direction : std::uint8_t { Read, Write };

// What a call of io reports in errno beside POSIX's own. No call here gets ETIME from the kernel,
// so that the kernel's ETIMEDOUT stays apart from a Deadline's.
constexpr int error_deadline = ETIME;         // the Deadline has passed
constexpr int error_interrupted = ECANCELED;  // a kill or a Timeout is pending: throw it or return
constexpr int error_in_hub = EDEADLK;         // the hub's own stack may not wait

struct FdEntry;

// FdWaiter is one interest in one descriptor, on the waiting stack.
struct FdWaiter {
  FdWaiter* next = nullptr;
  FdWaiter* previous = nullptr;
  core::Greenlet* greenlet = nullptr;
  FdEntry* entry = nullptr;  // in whose list it is linked; null for none
  std::uint32_t events = 0;  // in epoll's bits
  std::uint8_t list = 0;     // which of the entry's
  bool closed = false;       // unlinked because the descriptor was closed
};

// FdEntry is one descriptor in one hub, in one line of the cache. All zeros is one that nobody has
// waited for.
//
// Its watch is told by levels: wrong about what a read has left, we are told again. After some
// short reads of plain TCP it is told by edges, for which the kernel does not look at a socket
// again that it has told of, and what we say of a read has to be true: see has_read(),
// FdTable::sharpen() and disbelieve().
struct alignas(64) FdEntry : core::Watch {  // in the loop if it is owned; reader: if it is alone
  enum List : std::uint8_t { Readers, Writers, Pollers };

  bool noted = false;       // in the FdSlot, and in use
  bool drained = false;     // a read would find nothing, as far as we know
  bool full = false;        // the last read got all that it asked for
  std::uint8_t calm = 0;    // so many full reads are taken for the end of what was there
  std::uint8_t shorts = 0;  // short reads of late, up to enough_shorts
  bool polled = false;      // in the PollSet, as far as we know
  bool awake = false;       // and it may still fire
  bool stream = false;      // a short read has read all: the FdSlot says so, and it has no end yet
  std::uint32_t generation = 0;  // of the FdSlot; of another one all this is stale
  FdWaiter* lists[3] = {};       // the first of each, whose `previous` is the last

  static constexpr std::uint8_t enough_shorts = 8;

  // would_block() asks whether a read would only find that there is nothing. The next readiness
  // ends it, so it is false unless the watch is armed.
  bool would_block() const noexcept { return drained && (armed & core::readable) != 0; }

  // has_read() tells of a read. One from a stream that got less than it asked for has drained it.
  // One that got it all may have, too: if the next one after such a read was in vain, the next few
  // that are full are taken for drained, by levels only. Wrong, it costs a look at the loop. True
  // says that there have been enough short reads just now.
  bool has_read(bool all) noexcept {
    if (!stream) return false;
    full = all;
    drained = !all || calm > 0;
    if (all) {
      if (calm > 0) --calm;
      return false;
    }
    if (shorts == enough_shorts || (armed & core::readable) == 0) [[likely]]
      return false;
    return ++shorts == enough_shorts;
  }
};

static_assert(sizeof(FdEntry) == 64);

class FdTable final : public core::Hub::Extension {
 public:
  // here() is the table of the thread's hub, null if it has none; make_here() makes it and the hub.
  static FdTable* here() noexcept {
    core::Hub* hub = core::Hub::here();
    return hub == nullptr ? nullptr : static_cast<FdTable*>(hub->fd_table);
  }
  static FdTable* make_here() noexcept;  // null when the system refuses

  void ended() noexcept override { delete this; }
  void forked() noexcept override;

  core::Hub& hub() noexcept { return hub_; }
  std::uint32_t id() const noexcept { return id_; }

  // find() is the entry of a descriptor, null if there is no place for it yet.
  FdEntry* find(int fd) noexcept {
    auto number = static_cast<unsigned>(fd);
    return number < chunk_size ? near_ + number : find_far(number);
  }

  // link() puts a waiter into the list it belongs to, last; arm() sees to it that the next
  // readiness wakes it. Both 0 or an errno; EPERM from arm() is what is always ready. `owned`
  // false waits in the PollSet whoever owns it. unlink() is idempotent.
  int link(FdWaiter& waiter, int fd, std::uint32_t events, bool owned) noexcept;
  int arm(FdWaiter& waiter) noexcept;
  void unlink(FdWaiter& waiter) noexcept;

  // link_alone() is link() and arm() where neither has more to do than to write down who reads;
  // unlink_alone() is the reverse. False, and nothing, where there is more to do.
  bool link_alone(FdWaiter& waiter, FdEntry& entry, FdSlot::View view) noexcept;
  bool unlink_alone(FdWaiter& waiter) noexcept;

  // let_go() forgets a descriptor that is about to change hands: wakes all who wait for it.
  void let_go(int fd) noexcept;

  // is_in_vain() is for one whose readers wait.
  void is_in_vain(FdEntry& entry) noexcept;

  // sharpen() has a descriptor that has had enough short reads told by edges from now on, if it is
  // one whose short reads prove that all is read.
  void sharpen(FdEntry& entry) noexcept;

  // disbelieve() has it told by levels for good, and no read taken for proof: something may stop
  // its reads early.
  void disbelieve(FdEntry& entry) noexcept;

  // bring_near() has the processor fetch what the third in the queue will touch when it goes on:
  // its stack and its descriptor's entry, which the kernel's work for others has pushed out.
  void bring_near(const core::ReadyQueue& ready) noexcept;

  // scratch() is room for what somebody is about to receive, for as long as nobody switches.
  std::span<char> scratch() noexcept { return scratch_; }

  // wake_waiters() has all who wait for a descriptor try again.
  void wake_waiters(int fd) noexcept;

  // others_of() lists the other hubs that a view of an FdSlot names.
  static std::vector<core::Hub*> others_of(FdSlot::View view);

 private:
  static constexpr unsigned chunk_size = 1024;
  static constexpr std::uint8_t most_calm = 32;
  static constexpr std::uint8_t shorts_per_vain = 4;  // a read in vain costs as much as they save

  explicit FdTable(core::Hub& hub);
  ~FdTable();
  FdEntry* make(int fd) noexcept;
  FdEntry* find_far(unsigned number) noexcept;
  static FdEntry* map_chunk() noexcept;
  int note(int fd, FdSlot& slot, FdSlot::View view) noexcept;
  void reset(FdEntry& entry) noexcept;
  void calm_down(FdEntry& entry) noexcept;
  int arm_owned(FdEntry& entry, std::uint8_t direction) noexcept;
  int arm_poller(FdEntry& entry, FdWaiter& waiter) noexcept;
  static void on_ready(core::Watch& entry, unsigned readiness) noexcept;
  static void on_ready_rare(FdEntry& entry, unsigned readiness) noexcept;
  static void on_poll(void* table, int fd, std::uint32_t events) noexcept;

  core::Hub& hub_;
  std::uint32_t id_ = 0;          // among all tables, as in FdSlots
  FdEntry* near_ = nullptr;       // the first of the chunks, which is always there
  std::vector<FdEntry*> chunks_;  // each an anonymous mapping, null until needed
  PollSet set_;
  char scratch_[std::size_t{64} * 1024];
};

// adopt() makes an open, non-blocking descriptor Fern's own; see FdSlot.
bool adopt(int fd, bool stream) noexcept;

// close() wakes all who wait for the descriptor, in every hub, and then closes it. Where another
// hub has to let go first, the last one closes it, and close() waits for that if `wait` is true,
// for a second at most: a greenlet parks, a thread without a hub blocks, a hub's own stack does
// not. It cannot be killed.
FERN_INTERNAL int close(int fd, bool wait) noexcept;

// shutdown() is shutdown(2), and has all who wait for a unix socket try again, in every hub: to the
// senders of a full one it is an end (EPIPE), but no event.
FERN_INTERNAL int shutdown(int fd, int how) noexcept;

// took_urgent() is called by who has received by MSG_OOB: no readiness tells any more that reads
// stop where that byte was. It has all who wait try again, in every hub.
FERN_INTERNAL void took_urgent(int fd) noexcept;

// forget() lets go of a descriptor that somebody else has closed; never waits.
FERN_INTERNAL void forget(int fd) noexcept;

// release() is close() without closing: the descriptor is not ours any more. Of a range, whatever
// of it anybody waits for.
FERN_INTERNAL void release(int fd) noexcept;
FERN_INTERNAL void release(unsigned first, unsigned last) noexcept;

// waited_for() asks whether anybody may wait for the descriptor, or has since it was opened.
FERN_INTERNAL bool waited_for(int fd) noexcept;

// changed() is called when a released number means something else: has those try again who have
// begun to wait meanwhile.
FERN_INTERNAL void changed(int fd) noexcept;
FERN_INTERNAL void changed(unsigned first, unsigned last) noexcept;

}  // namespace fern::io
