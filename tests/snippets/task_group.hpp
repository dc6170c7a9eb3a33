#include <cstddef>
#include <string>
#include <vector>

using Url = std::string;
struct Page {};
Page fetch(const Url& url);
