#include "core/end_watch.hpp"

#include "core/hub.hpp"

#include <atomic>

namespace fern::core {

// Goes to the watched greenlet's hub, waits there as a link, and comes back when it ends or when
// it is called off. Exactly one message comes back; the call-off is a second one going there.
struct EndWatch::RemoteLink : Link {
  struct Message : detail::Remote {
    RemoteLink* link = nullptr;
  };
  Message go;
  Message back;
  Message call_off;
  Greenlet* watched = nullptr;  // retained
  Hub* home = nullptr;
  EndWatch* owner = nullptr;    // home's thread only; null once called off
  Told told = nullptr;
  void* context = nullptr;
  bool linked = false;          // the watched greenlet's thread only
  std::atomic<int> messages{1};  // that have not arrived: back, and call_off if sent

  void done() noexcept {
    if (messages.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    release(*watched);
    delete this;
  }

  static RemoteLink& of(detail::Remote* remote) noexcept {
    return *static_cast<Message*>(remote)->link;
  }
};

EndWatch::EndWatch(Greenlet& watched, Told told, void* context) : watched_(watched) {
  Hub& home = Hub::current();
  if (watched.hub == &home) {
    local_.told = told;
    local_.context = context;
    local_.ended = [](Link* link, Greenlet&) noexcept {
      auto* self = static_cast<LocalLink*>(link);
      self->told(self->context);
    };
    link(watched, local_);
    linked_ = true;
    return;
  }
  auto* remote = new RemoteLink;
  remote_ = remote;
  remote->go.link = remote->back.link = remote->call_off.link = remote;
  remote->watched = &watched;
  retain(watched);
  remote->home = &home;
  remote->owner = this;
  remote->told = told;
  remote->context = context;
  remote->ended = [](Link* link, Greenlet&) noexcept {
    auto* self = static_cast<RemoteLink*>(link);
    self->linked = false;
    self->home->post(self->back);
  };
  remote->go.run = [](detail::Remote* message) noexcept {
    RemoteLink& self = RemoteLink::of(message);
    if (is_dead(*self.watched)) {
      self.home->post(self.back);
    } else {
      self.linked = true;
      link(*self.watched, self);
    }
  };
  remote->call_off.run = [](detail::Remote* message) noexcept {
    RemoteLink& self = RemoteLink::of(message);
    if (self.linked) {
      self.linked = false;
      unlink(*self.watched, self);
      self.home->post(self.back);
    }
    self.done();
  };
  remote->back.run = [](detail::Remote* message) noexcept {
    RemoteLink& self = RemoteLink::of(message);
    if (self.owner != nullptr) {
      self.owner->remote_ = nullptr;
      self.told(self.context);
    }
    self.done();
  };
  watched.hub->post(remote->go);
}

EndWatch::~EndWatch() {
  if (linked_ && !is_dead(watched_)) unlink(watched_, local_);
  if (remote_ != nullptr) {
    remote_->owner = nullptr;
    remote_->messages.fetch_add(1, std::memory_order_relaxed);
    watched_.hub->post(remote_->call_off);
  }
}

}  // namespace fern::core
