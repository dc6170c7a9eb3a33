#include <string>
#include <vector>

extern std::vector<std::string> urls;
std::string fetch(const std::string& url);
void index(const std::string& page);
