#include <mutex>
#include <string>

using Url = std::string;
void get(const Url& url);
