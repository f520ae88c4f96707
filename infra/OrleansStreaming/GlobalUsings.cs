global using Microsoft.Extensions.DependencyInjection;
global using Microsoft.Extensions.Logging;
global using Orleans.Runtime;
global using Orleans.Streams;
global using OrleansStreams.Errors;
