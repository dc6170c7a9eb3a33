#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>

using Address = std::string;
