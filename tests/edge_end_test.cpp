// Descriptors that are told by edges: where a read stops before all has been read, at the end of
// the stream and at the mark of urgent data.

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <thread>

#include "edges.hpp"
#include "fern/greenlet.hpp"
#include "fern/wait.hpp"
#include "io/syscalls.hpp"

namespace io = fern::io;

namespace {

class EdgeEndTest : public fern::testing::EdgeTest {
 protected:
  // Reads twice; each as it came, with a mark behind.
  static auto read_twice(int fd, std::string& got) {
    auto reader = fern::spawn([fd, &got] {
      for (int i = 0; i < 2; ++i) got += recv(fd) + "|";
    });
    fern::yield();
    return reader;
  }
  static auto read_to_e(int fd, std::string& got) {
    auto reader = fern::spawn([fd, &got] {
      while (got.find('e') == std::string::npos) got += recv(fd);
    });
    fern::yield();
    return reader;
  }
  static void send_around_an_urgent_byte(int fd) {
    send(fd, "ab");
    EXPECT_EQ(io::send(fd, "!", 1, MSG_OOB, {}), 1);
    send(fd, "de");
  }
};

TEST_F(EdgeEndTest, AnEndThatComesWithTheLastDataIsNotMissed) {
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  auto reader = read_twice(tcp.a, got);
  send(tcp.b, "last");
  ::shutdown(tcp.b, SHUT_WR);
  EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "last||");
}

TEST_F(EdgeEndTest, AnEndThatComesAfterTheDataIsNotMissed) {
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  auto reader = read_twice(tcp.a, got);
  send(tcp.b, "last");
  while (got.empty()) fern::yield();
  ::shutdown(tcp.b, SHUT_WR);
  EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "last||");
}

TEST_F(EdgeEndTest, AResetIsNotMissed) {
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  auto reader = read_twice(tcp.a, got);
  send(tcp.b, "last");
  while (got.empty()) fern::yield();
  linger hard{1, 0};
  ASSERT_EQ(::setsockopt(tcp.b, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
  tcp.close_b();
  EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "last|" + error(ECONNRESET) + "|");
}

TEST_F(EdgeEndTest, DataBehindAnUrgentByteIsNotMissed) {
  for (bool in_line : {false, true}) {
    Tcp tcp;
    int on = in_line;
    ASSERT_EQ(::setsockopt(tcp.a, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), 0);
    sharpen(tcp);
    auto reader = fern::spawn([&] {
      std::string all;
      while (all.find('e') == std::string::npos) all += recv(tcp.a);
      return all;
    });
    fern::yield();
    send_around_an_urgent_byte(tcp.b);
    EXPECT_EQ(reader.get(patience), in_line ? "ab!de" : "abde");
  }
}

TEST_F(EdgeEndTest, DataBehindAnUrgentByteThatIsTakenFirstIsNotMissed) {
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  auto reader = read_to_e(tcp.a, got);
  send_around_an_urgent_byte(tcp.b);
  char byte = 0;
  EXPECT_EQ(io::recv(tcp.a, &byte, 1, MSG_OOB, {}), 1);
  EXPECT_EQ(byte, '!');
  EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "abde");
}

TEST_F(EdgeEndTest, DataBehindAnUrgentByteThatAnotherHubHasTakenIsNotMissed) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  auto reader = read_to_e(tcp.a, got);
  send_around_an_urgent_byte(tcp.b);
  std::thread([&] {
    char byte = 0;
    EXPECT_EQ(io::recv(tcp.a, &byte, 1, MSG_OOB, {}), 1);
  }).join();
  EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "abde");
}

TEST_F(EdgeEndTest, AnUrgentByteEndsTheEdges) {
  Tcp tcp;
  sharpen(tcp);
  auto reader = fern::spawn([&] { return recv(tcp.a); });
  fern::yield();
  send(tcp.b, "ab");
  EXPECT_EQ(io::send(tcp.b, "!", 1, MSG_OOB, {}), 1);
  EXPECT_EQ(reader.get(patience), "ab");
  EXPECT_FALSE(by_edges(tcp.a));
  read_shortly(tcp.a, tcp.b);
  EXPECT_FALSE(by_edges(tcp.a));
}

}  // namespace
