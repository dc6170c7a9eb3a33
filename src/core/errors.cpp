#include <fern/errors.hpp>

#include <utility>

// Constructors and destructors live here so that each class has one home for its type_info, and
// catch works across shared objects.

namespace fern {

TimeoutError::TimeoutError(const std::string& what) : std::runtime_error(what) {}
TimeoutError::~TimeoutError() = default;

QueueEmpty::QueueEmpty() : TimeoutError("the queue is empty") {}
QueueEmpty::~QueueEmpty() = default;

QueueFull::QueueFull() : TimeoutError("the queue is full") {}
QueueFull::~QueueFull() = default;

QueueClosed::QueueClosed() : std::runtime_error("the queue is closed") {}
QueueClosed::~QueueClosed() = default;

BrokenBarrier::BrokenBarrier() : std::runtime_error("the barrier is broken") {}
BrokenBarrier::~BrokenBarrier() = default;

GreenletExit::GreenletExit(std::string why) : why_(std::move(why)) {}
GreenletExit::GreenletExit(const GreenletExit&) = default;
GreenletExit& GreenletExit::operator=(const GreenletExit&) = default;
GreenletExit::~GreenletExit() = default;
const char* GreenletExit::what() const noexcept { return why_.c_str(); }

GreenletKilled::GreenletKilled(const std::string& name)
    : std::runtime_error("greenlet " + name + " was killed") {}
GreenletKilled::~GreenletKilled() = default;

GreenletError::GreenletError(const std::string& what) : std::logic_error(what) {}
GreenletError::~GreenletError() = default;

BlockingInHub::BlockingInHub(const std::string& what) : std::logic_error(what) {}
BlockingInHub::~BlockingInHub() = default;

LoopExit::LoopExit(const std::string& what) : std::runtime_error(what) {}
LoopExit::~LoopExit() = default;

}  // namespace fern
