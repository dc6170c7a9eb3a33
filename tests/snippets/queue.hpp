#include <string>
#include <vector>

using Url = std::string;
extern std::vector<Url> start;
void fetch(const Url& url);
