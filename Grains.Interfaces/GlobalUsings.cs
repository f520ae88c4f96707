// The namespaces that Orleans' own SDK imports implicitly, so that grain code reads the same in every build.
global using Orleans;
global using Orleans.Concurrency;
global using Orleans.Runtime;
global using OrleansStreams.Errors;
