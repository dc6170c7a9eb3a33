#pragma once

// All of Fern, but for asio.hpp, which includes Boost.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/debug.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>
