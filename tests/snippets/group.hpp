#include <string>
#include <vector>

extern std::vector<std::string> hosts;
void probe(const std::string& host);
