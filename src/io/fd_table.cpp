#include "io/fd_table.hpp"

#include "base/real.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <span>

namespace fern::io {
namespace {

// All tables, at their id minus one. Never destroyed: threads may end after the statics.
struct Tables {
  std::mutex mutex;
  std::vector<FdTable*> all;
};

Tables& tables() {
  static Tables* tables = [] {
    auto* made = new Tables;
    // The child has one thread, whose table comes back when its hub is used.
    pthread_atfork([] { io::tables().mutex.lock(); }, [] { io::tables().mutex.unlock(); },
                   [] {
                     for (FdTable*& table : io::tables().all) table = nullptr;
                     io::tables().mutex.unlock();
                   });
    return made;
  }();
  return *tables;
}

void append(FdWaiter*& first, FdWaiter& waiter) noexcept {
  waiter.next = nullptr;
  if (first == nullptr) {
    waiter.previous = first = &waiter;
    return;
  }
  waiter.previous = first->previous;
  waiter.previous->next = &waiter;
  first->previous = &waiter;
}

void take_out(FdWaiter*& first, FdWaiter& waiter) noexcept {
  if (&waiter == first) {
    first = waiter.next;
    if (first != nullptr) first->previous = waiter.previous;
    return;
  }
  waiter.previous->next = waiter.next;
  (waiter.next == nullptr ? first : waiter.next)->previous = waiter.previous;
}

void find_reader(FdEntry& entry) noexcept {
  FdWaiter* first = entry.lists[FdEntry::Readers];
  entry.reader = first == nullptr || first->next != nullptr ? nullptr : first->greenlet;
}

void wake_all(FdWaiter* first) noexcept {
  for (FdWaiter* waiter = first; waiter != nullptr; waiter = waiter->next) {
    core::Hub::wake(*waiter->greenlet, core::Wake::Notified);
  }
}

void tell_all(FdWaiter* first) noexcept {
  for (FdWaiter* waiter = first; waiter != nullptr; waiter = waiter->next) {
    core::Hub::tell(*waiter->greenlet);
  }
}

constexpr std::uint32_t always_told = EPOLLERR | EPOLLHUP;

}  // namespace

FdTable::FdTable(core::Hub& hub) : hub_(hub), chunks_(1, nullptr), set_(this, on_poll) {
  near_ = chunks_.front() = map_chunk();
  if (near_ == nullptr) throw std::bad_alloc();
}

FdTable* FdTable::make_here() noexcept {
  try {
    core::Hub& hub = core::Hub::current();
    hub.loop();  // a forked child begins anew first
    if (hub.fd_table == nullptr) {
      std::lock_guard lock(tables().mutex);
      auto& all = tables().all;
      auto place = std::ranges::find(all, nullptr);
      if (place == all.end()) place = all.insert(place, nullptr);
      auto* made = new FdTable(hub);
      *place = made;
      made->id_ = static_cast<std::uint32_t>(place - all.begin()) + 1;
      hub.attach(*made);
      hub.fd_table = made;
    }
    return static_cast<FdTable*>(hub.fd_table);
  } catch (...) {
    return nullptr;
  }
}

FdTable::~FdTable() {
  {
    std::lock_guard lock(tables().mutex);
    tables().all[id_ - 1] = nullptr;
  }
  set_.close(hub_.loop());
  for (FdEntry* chunk : chunks_) {
    if (chunk == nullptr) continue;
    for (FdEntry& entry : std::span(chunk, chunk_size)) {
      if (entry.watched()) hub_.loop().unwatch(entry);
    }
    munmap(chunk, chunk_size * sizeof(FdEntry));
  }
}

// The greenlets that waited do not exist in the child, and their stacks may be used again. A
// descriptor that the child has closed since must not be armed in its new loop. The old one's set
// is the parent's as well.
void FdTable::forked() noexcept {
  {
    std::lock_guard lock(tables().mutex);
    tables().all[id_ - 1] = this;
  }
  set_.forked();
  for (FdEntry* chunk : chunks_) {
    if (chunk == nullptr) continue;
    for (FdEntry& entry : std::span(chunk, chunk_size)) {
      for (FdWaiter*& list : entry.lists) list = nullptr;
      entry.reader = nullptr;
      if (!entry.watched()) continue;
      bool same = FdSlot::find(entry.fd)->load().generation() == entry.generation;
      if (!same || real::fcntl(entry.fd, F_GETFD, 0) < 0) {
        entry.armed = 0;  // the set is still the parent's
        hub_.loop().unwatch(entry);
        entry = {};
      }
    }
  }
}

__attribute__((noinline)) FdEntry* FdTable::make(int fd) noexcept {
  if (FdEntry* entry = find(fd)) return entry;
  auto number = static_cast<unsigned>(fd);
  try {
    if (number / chunk_size >= chunks_.size()) chunks_.resize(number / chunk_size + 1);
  } catch (...) {
    return nullptr;
  }
  chunks_[number / chunk_size] = map_chunk();
  return find(fd);
}

__attribute__((noinline)) FdEntry* FdTable::find_far(unsigned number) noexcept {
  if (number / chunk_size >= chunks_.size()) return nullptr;
  FdEntry* chunk = chunks_[number / chunk_size];
  return chunk == nullptr ? nullptr : chunk + number % chunk_size;
}

// Zeros are entries that nobody has waited for.
FdEntry* FdTable::map_chunk() noexcept {
  void* fresh = mmap(nullptr, chunk_size * sizeof(FdEntry), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return fresh == MAP_FAILED ? nullptr : static_cast<FdEntry*>(fresh);
}

// Whoever waits is told, and the number may mean something else from now on.
__attribute__((noinline)) void FdTable::reset(FdEntry& entry) noexcept {
  for (FdWaiter* first : entry.lists) {
    for (FdWaiter* waiter = first; waiter != nullptr; waiter = waiter->next) {
      waiter->entry = nullptr;
      waiter->closed = true;
      core::Hub::wake(*waiter->greenlet, core::Wake::Closed);
    }
  }
  if (entry.awake) set_.remove(entry.fd);
  if (entry.watched()) hub_.loop().unwatch(entry);
  entry = FdEntry{};
}

void FdTable::let_go(int fd) noexcept {
  hub_.loop();  // a forked child begins anew first
  FdEntry* entry = find(fd);
  if (entry != nullptr && entry->noted) reset(*entry);
}

void FdTable::wake_waiters(int fd) noexcept {
  FdEntry* entry = find(fd);
  if (entry == nullptr) return;
  entry->drained = false;
  for (FdWaiter* first : entry->lists) wake_all(first);
}

// Makes the descriptor's entry that of this generation.
__attribute__((noinline)) int FdTable::note(int fd, FdSlot& slot, FdSlot::View view) noexcept {
  FdEntry* entry = make(fd);
  if (entry == nullptr) return ENOMEM;
  if (entry->generation != view.generation()) reset(*entry);
  if (entry->noted) return 0;
  if (!slot.note(view.generation(), id_)) return EBADF;
  entry->fd = fd;
  entry->generation = view.generation();
  entry->noted = true;
  entry->stream = view.stream();
  return 0;
}

int FdTable::link(FdWaiter& waiter, int fd, std::uint32_t events, bool owned) noexcept {
  hub_.loop();
  FdSlot* slot = FdSlot::find(fd);
  if (slot == nullptr) return EBADF;
  FdSlot::View view = slot->load();
  FdEntry* entry = find(fd);
  if (entry == nullptr || !entry->noted || entry->generation != view.generation()) [[unlikely]] {
    if (int error = note(fd, *slot, view); error != 0) return error;
    entry = find(fd);
  }
  waiter.greenlet = &hub_.running();
  waiter.entry = entry;
  waiter.events = events;
  waiter.closed = false;
  waiter.list = FdEntry::Pollers;
  if (owned && view.owned()) {
    waiter.list = (events & EPOLLIN) != 0 ? FdEntry::Readers : FdEntry::Writers;
  }
  append(entry->lists[waiter.list], waiter);
  if (waiter.list == FdEntry::Readers) find_reader(*entry);
  return 0;
}

void FdTable::unlink(FdWaiter& waiter) noexcept {
  if (waiter.entry == nullptr) return;
  FdEntry& entry = *waiter.entry;
  FdWaiter*& first = entry.lists[waiter.list];
  take_out(first, waiter);
  if (waiter.list == FdEntry::Readers) find_reader(entry);
  if (waiter.list == FdEntry::Pollers && first == nullptr && entry.awake) {
    set_.remove(entry.fd);
    entry.polled = entry.awake = false;
  }
  waiter.entry = nullptr;
}

int FdTable::arm(FdWaiter& waiter) noexcept {
  FdEntry& entry = *waiter.entry;
  if (waiter.list == FdEntry::Pollers) return arm_poller(entry, waiter);
  std::uint8_t direction = waiter.list == FdEntry::Readers ? core::readable : core::writable;
  return (entry.armed & direction) != 0 ? 0 : arm_owned(entry, direction);
}

__attribute__((noinline)) int FdTable::arm_owned(FdEntry& entry, std::uint8_t direction) noexcept {
  core::Loop& loop = hub_.loop();
  if (!entry.watched()) return loop.watch(entry, entry.fd, direction, on_ready);
  int error = loop.arm(entry, entry.armed | direction);
  if (error != 0) wake_waiters(entry.fd);  // nothing tells them any more
  return error;
}

// The set tells one event and then nothing: ask for what everybody wants who still waits.
__attribute__((noinline)) int FdTable::arm_poller(FdEntry& entry, FdWaiter& mine) noexcept {
  std::uint32_t events = mine.events;
  for (FdWaiter* waiter = entry.lists[FdEntry::Pollers]; waiter != nullptr; waiter = waiter->next) {
    bool waits = waiter->greenlet->state == core::State::Parked;
    if (waits || waiter->greenlet == mine.greenlet) events |= waiter->events;
  }
  int error = set_.arm(hub_.loop(), entry.fd, events, entry.polled);
  entry.polled = entry.awake = error == 0;
  return error;
}

// For TCP with nothing above it (TLS in the kernel hands out a record at a time): other sockets
// have no such option. What else ends a read early, an end and urgent data, is told.
void FdTable::sharpen(FdEntry& entry) noexcept {
  int saved = errno;
  char above[16];
  socklen_t size = sizeof above;
  if (real::getsockopt(entry.fd, IPPROTO_TCP, TCP_ULP, above, &size) == 0 && size == 0) {
    entry.calm = 0;
    hub_.loop().set_edge(entry, true);
  }
  errno = saved;
}

// Also a read that finds nothing may be stopped by the mark, when a signal is pending.
void FdTable::disbelieve(FdEntry& entry) noexcept {
  int saved = errno;
  entry.stream = entry.drained = false;
  hub_.loop().set_edge(entry, false);
  errno = saved;
}

// A full read had left nothing. Who has many of those is better off by levels, where we may guess.
__attribute__((noinline)) void FdTable::calm_down(FdEntry& entry) noexcept {
  entry.shorts -= std::min(entry.shorts, shorts_per_vain);
  if (entry.edge && entry.shorts == 0) hub_.loop().set_edge(entry, false);
  if (!entry.edge) entry.calm = most_calm;
}

// On the hub's own stack: the loop says what an owned descriptor is ready for.
void FdTable::on_ready(core::Watch& watch, unsigned readiness) noexcept {
  auto& entry = static_cast<FdEntry&>(watch);
  if (readiness != core::readable || entry.reader == nullptr) [[unlikely]]
    return on_ready_rare(entry, readiness);
  entry.drained = false;
  core::Hub::tell(*entry.reader);  // without a look at its stack
}

__attribute__((noinline)) void FdTable::on_ready_rare(FdEntry& entry, unsigned readiness) noexcept {
  std::uint8_t unwanted = 0;
  // By edges what nobody waits for is told once for all, unless more of it comes.
  const bool told_before = !entry.edge || !entry.drained;
  if ((readiness & core::ended) != 0) entry.stream = false;
  if ((readiness & core::urgent) != 0) here()->disbelieve(entry);
  if ((readiness & core::readable) != 0) {
    entry.drained = false;
    if (entry.lists[FdEntry::Readers] == nullptr && told_before) unwanted |= core::readable;
    tell_all(entry.lists[FdEntry::Readers]);
  }
  if ((readiness & core::writable) != 0) {
    if (entry.lists[FdEntry::Writers] == nullptr) unwanted |= core::writable;
    tell_all(entry.lists[FdEntry::Writers]);
  }
  if ((entry.armed & unwanted) == 0) return;
  if (here()->hub_.loop().arm(entry, entry.armed & ~unwanted) == 0) return;
  tell_all(entry.lists[FdEntry::Readers]);  // closed by others: their calls will tell
  tell_all(entry.lists[FdEntry::Writers]);
}

// On the hub's own stack: the set tells of one that is not owned, and does not watch it any more.
void FdTable::on_poll(void* table, int fd, std::uint32_t events) noexcept {
  auto& self = *static_cast<FdTable*>(table);
  FdEntry* entry = self.find(fd);
  if (entry == nullptr) return;
  entry->awake = false;
  std::uint32_t still = 0;
  for (FdWaiter* waiter = entry->lists[FdEntry::Pollers]; waiter != nullptr;
       waiter = waiter->next) {
    if ((events & (waiter->events | always_told)) != 0) {
      core::Hub::tell(*waiter->greenlet);
    } else if (waiter->greenlet->state == core::State::Parked) {
      still |= waiter->events;
    }
  }
  if (still == 0) return;
  entry->awake = self.set_.arm(self.hub_.loop(), fd, still, true) == 0;
  if (!entry->awake) wake_all(entry->lists[FdEntry::Pollers]);  // their next looks will tell why
}

std::vector<core::Hub*> FdTable::others_of(FdSlot::View view) {
  std::vector<core::Hub*> others;
  if (view.table() == 0) return others;
  FdTable* mine = here();
  std::lock_guard lock(tables().mutex);
  for (FdTable* table : tables().all) {
    if (table == nullptr || table == mine) continue;
    if (view.table() == FdSlot::many || view.table() == table->id_) others.push_back(&table->hub_);
  }
  return others;
}

}  // namespace fern::io
