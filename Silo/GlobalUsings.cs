// The namespaces that Orleans' own SDK imports implicitly, so that hosting code reads the same in every build.
global using Orleans;
global using Orleans.Runtime;
global using OrleansStreams.Errors;
