#include <cstddef>
#include <vector>

extern fern::Socket socket;
extern std::vector<char> buffer;
extern std::size_t size;
void retry();

extern fern::Socket client;
void serve(fern::Socket& client);
