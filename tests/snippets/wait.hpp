#include <string>
#include <vector>

struct Page {};
extern std::vector<std::string> urls;
Page fetch(const std::string& url);
