{# Brian2's threshold in two passes over blocks of neurons, so that the compiler can vectorise the first: the conditions,
   with the random numbers of a block drawn at once (the same numbers, in the same order); then the spikes. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    // scalar code
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    {% set _eventspace = get_array_name(eventspace_variable) %}
    {% set _block_code = vector_code|text|with_uniform_blocks(variables) %}
    const size_t _block = 256;
    char _conditions[_block + 8];
    {% if '_uniform[' in _block_code %}
    double _uniform[_block];
    {% endif %}
    long _count = 0;
    for(size_t _start=0; _start<N; _start+=_block)
    {
        const size_t _length = N - _start < _block ? N - _start : _block;
        {% if '_uniform[' in _block_code %}
        brian::_random_generators[0].gen.fill(_uniform, _length);
        {% endif %}
        for(size_t _k=0; _k<_length; _k++)
        {
            const size_t _idx = _start + _k;
            const size_t _vectorisation_idx = _idx;
            {{_block_code|autoindent}}
            _conditions[_k] = _cond ? 1 : 0;
        }
        std::memset(_conditions + _length, 0, 8);
        for(size_t _k=0; _k<_length; _k+=8)
        {
            uint64_t _any;
            std::memcpy(&_any, _conditions + _k, 8);
            for(; _any; _any&=_any-1)
            {
                const size_t _idx = _start + _k + __builtin_ctzll(_any) / 8;
                {{_eventspace}}[_count++] = _idx;
                {% if _uses_refractory %}
                {{not_refractory}}[_idx] = false;
                {{lastspike}}[_idx] = {{t}};
                {% endif %}
            }
        }
    }
    {{_eventspace}}[N] = _count;
{% endblock %}

{% block after_code %}
{% set _eventspace = get_array_name(eventspace_variable) %}
{{_eventspace}}[N] = 0;
{% endblock %}
