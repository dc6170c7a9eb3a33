#pragma once

// The version of Fern, and what its headers need of the compiler.
//
//     static_assert(FERN_VERSION_MAJOR == 0);
//     std::puts(fern::version());   // "0.1.0": of the library that is loaded

#define FERN_VERSION_MAJOR 0
#define FERN_VERSION_MINOR 1
#define FERN_VERSION_PATCH 0
#define FERN_VERSION "0.1.0"

// Marks what libfern exports; everything else is hidden.
#define FERN_API __attribute__((visibility("default")))

// Marks what libfern exports for libfern_monkey alone. Protected in libfern, so that it calls
// itself directly; a library that refers to it must not say so.
#ifdef FERN_IS_MONKEY
#define FERN_INTERNAL FERN_API
#else
#define FERN_INTERNAL __attribute__((visibility("protected")))
#endif

namespace fern {

// Returns the version of the loaded library, as "major.minor.patch". Never switches; any thread may
// call it.
FERN_API const char* version() noexcept;

}  // namespace fern
