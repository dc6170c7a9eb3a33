#include <utility>
#include <vector>

using std::swap;
extern std::vector<int> front, back;
void advance(int part);
