using Orleans.Placement;
using Orleans.Streams.Core;

namespace OrleansStreams.Streaming.Fixture;

/// <summary>Existing Orleans code: a consumer that subscribes by itself. Its key names its probe.</summary>
public interface IExplicitConsumer : IGrainWithStringKey
{
    Task SubscribeAsync(string provider, StreamId stream, StreamSequenceToken? token);

    Task SubscribeToBatchesAsync(string provider, StreamId stream);

    Task ResumeAsync(string provider, StreamId stream, StreamSequenceToken token);

    Task UnsubscribeAsync(string provider, StreamId stream);

    Task<string> WhereAsync();
}

[RandomPlacement]
public sealed class ExplicitConsumer(ILocalSiloDetails silo) : Grain, IExplicitConsumer, IAsyncObserver<string>, IAsyncBatchObserver<string>
{
    private Probe Probe => Probe.For(this.GetPrimaryKeyString());

    public Task SubscribeAsync(string provider, StreamId stream, StreamSequenceToken? token) =>
        this.GetStreamProvider(provider).GetStream<string>(stream).SubscribeAsync((IAsyncObserver<string>)this, token);

    public Task SubscribeToBatchesAsync(string provider, StreamId stream) =>
        this.GetStreamProvider(provider).GetStream<string>(stream).SubscribeAsync((IAsyncBatchObserver<string>)this);

    public async Task ResumeAsync(string provider, StreamId stream, StreamSequenceToken token)
    {
        foreach (var handle in await this.GetStreamProvider(provider).GetStream<string>(stream).GetAllSubscriptionHandles())
        {
            await handle.ResumeAsync((IAsyncObserver<string>)this, token);
        }
    }

    public async Task UnsubscribeAsync(string provider, StreamId stream)
    {
        foreach (var handle in await this.GetStreamProvider(provider).GetStream<string>(stream).GetAllSubscriptionHandles())
        {
            await handle.UnsubscribeAsync();
        }
    }

    public Task<string> WhereAsync() => Task.FromResult(silo.SiloAddress.ToParsableString());

    public Task OnNextAsync(string item, StreamSequenceToken? token = null) => Probe.OnNextAsync(item, token, silo.Name);

    public Task OnNextAsync(IList<SequentialItem<string>> items) => Probe.OnBatchAsync(items, silo.Name);

    public Task OnCompletedAsync() => Task.CompletedTask;

    public Task OnErrorAsync(Exception ex)
    {
        Probe.OnError(ex);
        return Task.CompletedTask;
    }
}

public interface IImplicitConsumer : IGrainWithStringKey;

/// <summary>Existing Orleans code: a consumer that the stream's namespace subscribes. Its key is the stream's and names its probe.</summary>
[RandomPlacement]
[ImplicitStreamSubscription(Namespace)]
public sealed class ImplicitConsumer(ILocalSiloDetails silo) : Grain, IImplicitConsumer, IStreamSubscriptionObserver, IAsyncObserver<string>
{
    public const string Namespace = "implicit";

    private Probe Probe => Probe.For(this.GetPrimaryKeyString());

    public Task OnSubscribed(IStreamSubscriptionHandleFactory handleFactory) => handleFactory.Create<string>().ResumeAsync(this);

    public Task OnNextAsync(string item, StreamSequenceToken? token = null) => Probe.OnNextAsync(item, token, silo.Name);

    public Task OnCompletedAsync() => Task.CompletedTask;

    public Task OnErrorAsync(Exception ex)
    {
        Probe.OnError(ex);
        return Task.CompletedTask;
    }
}
