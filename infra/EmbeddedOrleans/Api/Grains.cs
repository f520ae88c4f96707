using Orleans.Runtime;

namespace Orleans
{
    /// <summary>The root of all grain interfaces.</summary>
    public interface IGrain : IAddressable
    {
    }

    /// <summary>A grain named by a string.</summary>
    public interface IGrainWithStringKey : IGrain
    {
    }

    /// <summary>Makes references to grains.</summary>
    public interface IGrainFactory
    {
        /// <summary>A reference to the grain <paramref name="primaryKey"/> of interface <typeparamref name="TGrainInterface"/>; nothing is activated by it.</summary>
        TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithStringKey;
    }

    /// <summary>What every grain class is, whether or not it derives from <see cref="Grain"/>.</summary>
    public interface IGrainBase
    {
        /// <summary>The activation's context.</summary>
        IGrainContext GrainContext { get; }

        /// <summary>Called before the first request. The default does nothing.</summary>
        Task OnActivateAsync(CancellationToken token) => Task.CompletedTask;

        /// <summary>Called after the last request, except after a crash. The default does nothing.</summary>
        Task OnDeactivateAsync(DeactivationReason reason, CancellationToken token) => Task.CompletedTask;
    }

    /// <summary>Why an activation ends.</summary>
    public readonly struct DeactivationReason
    {
        /// <summary>Creates a reason.</summary>
        public DeactivationReason(DeactivationReasonCode code, string text)
        {
            ReasonCode = code;
            Description = text;
            Exception = null;
        }

        /// <summary>Creates a reason that carries an exception.</summary>
        public DeactivationReason(DeactivationReasonCode code, Exception? exception, string text)
        {
            ReasonCode = code;
            Description = text;
            Exception = exception;
        }

        /// <summary>A text for people.</summary>
        public string Description { get; }

        /// <summary>The failure behind it, if any.</summary>
        public Exception? Exception { get; }

        /// <summary>The kind of reason.</summary>
        public DeactivationReasonCode ReasonCode { get; }

        /// <inheritdoc/>
        public override string ToString() => Exception is null ? $"{ReasonCode}: {Description}" : $"{ReasonCode}: {Description} ({Exception.Message})";
    }

    /// <summary>The kinds of reason for which an activation ends.</summary>
    public enum DeactivationReasonCode : byte
    {
        /// <summary>None given.</summary>
        None = 0,

        /// <summary>The silo stops.</summary>
        ShuttingDown = 1,

        /// <summary>OnActivateAsync failed.</summary>
        ActivationFailed = 2,

        /// <summary>It was idle for longer than the collection age.</summary>
        ActivationIdle = 4,

        /// <summary>The application failed in a way that makes this activation useless.</summary>
        ApplicationError = 8,

        /// <summary>The application asked (DeactivateOnIdle).</summary>
        ApplicationRequested = 9,
    }
}

namespace Orleans.Runtime
{
    /// <summary>Anything that can be called through a reference.</summary>
    public interface IAddressable
    {
    }

    /// <summary>A grain timer; dispose it to stop it.</summary>
    public interface IGrainTimer : IDisposable
    {
        /// <summary>Sets the next due time and the period.</summary>
        void Change(TimeSpan dueTime, TimeSpan period);
    }

    /// <summary>When and how a grain timer fires.</summary>
    public readonly struct GrainTimerCreationOptions
    {
        /// <summary>Creates options to be filled by an initializer.</summary>
        public GrainTimerCreationOptions()
        {
        }

        /// <summary>Creates options.</summary>
        [System.Diagnostics.CodeAnalysis.SetsRequiredMembers]
        public GrainTimerCreationOptions(TimeSpan dueTime, TimeSpan period)
        {
            DueTime = dueTime;
            Period = period;
        }

        /// <summary>The time to the first tick.</summary>
        public required TimeSpan DueTime { get; init; }

        /// <summary>Whether ticks may interleave with requests and other ticks.</summary>
        public bool Interleave { get; init; }

        /// <summary>Whether a tick keeps the grain from being collected as idle.</summary>
        public bool KeepAlive { get; init; }

        /// <summary>The time between a tick's end and the next tick.</summary>
        public required TimeSpan Period { get; init; }
    }

    /// <summary>State that a grain reads at activation and writes when it says so.</summary>
    public interface IPersistentState<TState> : Orleans.Core.IStorage<TState>
    {
    }

    /// <summary>Injects an <see cref="IPersistentState{TState}"/> into a grain's constructor.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public class PersistentStateAttribute : Attribute
    {
        /// <summary>Creates the attribute.</summary>
        /// <param name="stateName">The state's name within its grain.</param>
        /// <param name="storageName">The storage provider's name.</param>
        public PersistentStateAttribute(string stateName, string? storageName = null)
        {
            ArgumentNullException.ThrowIfNull(stateName);
            StateName = stateName;
            StorageName = storageName;
        }

        /// <summary>The state's name within its grain.</summary>
        public string StateName { get; }

        /// <summary>The storage provider's name, or null for the default one.</summary>
        public string? StorageName { get; }
    }
}

namespace Orleans.Core
{
    /// <summary>The operations on a stored state.</summary>
    public interface IStorage
    {
        /// <summary>The stored version's tag, or null when nothing is stored.</summary>
        string? Etag { get; }

        /// <summary>Whether a record is stored.</summary>
        bool RecordExists { get; }

        /// <summary>Removes the record.</summary>
        Task ClearStateAsync();

        /// <summary>Reads the record into the state.</summary>
        Task ReadStateAsync();

        /// <summary>Writes the state.</summary>
        Task WriteStateAsync();
    }

    /// <summary>A stored state of one type.</summary>
    public interface IStorage<TState> : IStorage
    {
        /// <summary>The state in memory.</summary>
        TState State { get; set; }
    }
}

namespace Orleans.Concurrency
{
    /// <summary>Every request to this grain class may interleave with every other, at awaits.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class ReentrantAttribute : Attribute
    {
    }

    /// <summary>This method may interleave with every other.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class AlwaysInterleaveAttribute : Attribute
    {
    }

    /// <summary>This method changes nothing and may interleave with other read-only methods.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class ReadOnlyAttribute : Attribute
    {
    }

    /// <summary>The caller does not wait for this method, and never learns whether it ran.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class OneWayAttribute : Attribute
    {
    }
}

namespace Orleans.Placement
{
    /// <summary>Where activations of a grain class are placed.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public abstract class PlacementAttribute : Attribute
    {
        internal PlacementAttribute()
        {
        }
    }

    /// <summary>Activations are placed on a random silo.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class RandomPlacementAttribute : PlacementAttribute
    {
    }
}
