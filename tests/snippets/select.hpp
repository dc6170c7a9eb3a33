struct Job {};
extern fern::Channel<Job> jobs;
void work(const Job& job);

extern fern::Queue<double> samples;
struct Sensor {
  double read();
};
extern Sensor sensor;

extern fern::Event stop;
struct Config {};
extern fern::AsyncResult<Config> config;
void apply(const Config& config);
