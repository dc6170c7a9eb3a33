#include <optional>
#include <string>
#include <utility>
#include <vector>

struct Job {};
std::optional<Job> next_job();
void work(const Job& job);

extern std::vector<std::string> urls;
std::string fetch(const std::string& url);
void index(const std::string& page);
