#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <sys/socket.h>

inline int fd = 0;
inline char buffer[16];
inline std::size_t size = 0;
inline const char* urls[] = {"http://localhost/"};

// As libcurl's.
using CURL = void;
CURL* handle_for(const char* url);
int curl_easy_perform(CURL* handle);
